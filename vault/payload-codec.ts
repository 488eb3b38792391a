import { METADATA_ENCODING_KEY, ValueError, type Payload, type PayloadCodec } from '@temporalio/common';
import { temporal } from '@temporalio/proto';
import { open, seal } from './envelope';

const ENCODING = 'binary/encrypted';
const PLACE = 'temporal/payload';
const KEY_ID = 'encryption-key-id';

/**
 * Encrypts every Temporal payload (design rule 1). Histories hold opaque ids only; this keeps even those from whoever
 * reads the Temporal database or its backups.
 *
 * @param keys 32 bytes each, by id; `currentId` encrypts, the others still decrypt older histories
 */
export function createPayloadCodec(keys: ReadonlyMap<string, Buffer>, currentId: string): PayloadCodec {
  const keyOf = (id: string): Buffer => {
    const key = keys.get(id);
    if (!key) throw new ValueError('A payload is encrypted under a key that is not at hand.');
    return key;
  };
  const { Payload: PayloadMessage } = temporal.api.common.v1;
  return {
    encode: async (payloads) => Promise.resolve(payloads.map((payload) => encodeOne(payload))),
    decode: async (payloads) => Promise.resolve(payloads.map((payload) => decodeOne(payload))),
  };

  function encodeOne(payload: Payload): Payload {
    return {
      metadata: { [METADATA_ENCODING_KEY]: Buffer.from(ENCODING), [KEY_ID]: Buffer.from(currentId) },
      data: seal(keyOf(currentId), Buffer.from(PayloadMessage.encode(payload).finish()), PLACE),
    };
  }

  function decodeOne(payload: Payload): Payload {
    const metadata = payload.metadata ?? {};
    if (text(metadata[METADATA_ENCODING_KEY]) !== ENCODING || !payload.data) return payload;
    return PayloadMessage.decode(open(keyOf(text(metadata[KEY_ID])), payload.data, PLACE));
  }
}

const text = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString();

/** Payloads lie anywhere in a history; each is replaced, where it is, by what `map` makes of it. */
export async function mapPayloads(value: unknown, map: (payload: Payload) => Promise<Payload>): Promise<void> {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return;
  for (const [key, member] of Object.entries(value) as [keyof typeof value, unknown][]) {
    if (isPayload(member)) (value as Record<string, unknown>)[key] = await map(member);
    else await mapPayloads(member, map);
  }
}

/** Replaces each payload in a history, where it is, by what the codecs read. */
export const decodePayloadsIn = (value: unknown, codecs: readonly PayloadCodec[]): Promise<void> =>
  mapPayloads(value, async (payload) => {
    let payloads = [payload];
    for (const codec of codecs.toReversed()) payloads = await codec.decode(payloads);
    return payloads[0] ?? payload;
  });

const isPayload = (value: unknown): value is Payload =>
  value !== null && typeof value === 'object' && 'metadata' in value && 'data' in value;
