import { defaultPayloadConverter, ValueError } from '@temporalio/common';
import { newKey } from './envelope';
import { createPayloadCodec } from './payload-codec';

const payload = defaultPayloadConverter.toPayload({ openingId: 'canary-4711' });

describe('the payload codec', () => {
  it('gives back what it took, and shows nothing of it in between', async () => {
    const codec = createPayloadCodec(new Map([['k1', newKey()]]), 'k1');
    const [encoded] = await codec.encode([payload]);
    expect(Buffer.from(encoded?.data ?? []).toString('latin1')).not.toContain('canary');
    const [decoded] = await codec.decode([encoded ?? {}]);
    expect(defaultPayloadConverter.fromPayload(decoded ?? {})).toEqual({ openingId: 'canary-4711' });
  });

  it('reads what an earlier key wrote, after the key was changed', async () => {
    const old = newKey();
    const [encoded] = await createPayloadCodec(new Map([['k1', old]]), 'k1').encode([payload]);
    const ring = new Map([
      ['k2', newKey()],
      ['k1', old],
    ]);
    const [decoded] = await createPayloadCodec(ring, 'k2').decode([encoded ?? {}]);
    expect(defaultPayloadConverter.fromPayload(decoded ?? {})).toEqual({ openingId: 'canary-4711' });
  });

  it('refuses a payload under a key that is not at hand', async () => {
    const [encoded] = await createPayloadCodec(new Map([['gone', newKey()]]), 'gone').encode([payload]);
    const codec = createPayloadCodec(new Map([['k1', newKey()]]), 'k1');
    await expect(codec.decode([encoded ?? {}])).rejects.toThrow(ValueError);
  });
});
