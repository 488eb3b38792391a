import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { newKey } from '../../vault/envelope';
import { createPayloadCodec } from '../../vault/payload-codec';
import { codecOperations } from './codec';

const base64 = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('base64');
/** As the Temporal UI sends it. */
const sent = ({ metadata, data }: Payload) => ({
  metadata: Object.fromEntries(Object.entries(metadata ?? {}).map(([name, value]) => [name, base64(value)])),
  data: base64(data),
});

describe('the codec server', () => {
  it('reads what was encrypted before the payload key was changed, as long as the old key is listed', async () => {
    const [old, fresh] = [newKey(), newKey()];
    const payload = defaultPayloadConverter.toPayload({ openingId: 'canary-4711' });
    const [encoded = {}] = await createPayloadCodec(new Map([['k1', old]]), 'k1').encode([payload]);
    const decoded = async (ring: Map<string, Buffer>): Promise<unknown> => {
      const [operation] = codecOperations({ codec: createPayloadCodec(ring, 'k2'), uiOrigin: undefined });
      const answer = await operation?.handle({ body: { payloads: [sent(encoded)] } } as never);
      const [first] = (answer?.body as { payloads: { data: string }[] }).payloads;
      return first;
    };
    const both = new Map([
      ['k2', fresh],
      ['k1', old],
    ]);
    expect(await decoded(both)).toMatchObject({ data: base64(payload.data) });
    expect(await decoded(new Map([['k2', fresh]]))).toEqual(sent(encoded));
  });
});
