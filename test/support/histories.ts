import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { type temporal } from '@temporalio/proto';
import { parseKeyRing } from '../../config/environment';
import { createPayloadCodec } from '../../vault/payload-codec';
import type { Harness } from './harness';

/** Everything of histories that is text, as the server has it and as the codec opens it. */
export async function textsOf(
  h: Harness,
  histories: readonly temporal.api.history.v1.IHistory[],
): Promise<{ stored: string; opened: string }> {
  const ring = parseKeyRing(h.secrets.payloadKeys.value);
  const codec = createPayloadCodec(ring.keys, ring.currentId);
  const payloads: Payload[] = [];
  const stored = histories.map((history) => JSON.stringify(history, collect(payloads))).join('\n');
  const decoded = await codec.decode(payloads);
  const opened = decoded.map((payload) => {
    try {
      return JSON.stringify(defaultPayloadConverter.fromPayload(payload));
    } catch {
      return Buffer.from(payload.data ?? []).toString('latin1');
    }
  });
  return { stored, opened: opened.join('\n') };
}

/** Collects payloads on the way. Messages show their bytes as base64 here, so nothing of them escapes the search. */
function collect(payloads: Payload[]) {
  return (_key: string, value: unknown): unknown => {
    if (value !== null && typeof value === 'object' && 'metadata' in value && 'data' in value) {
      const { metadata, data } = value as { metadata: Record<string, string>; data: string };
      const entries = Object.entries(metadata).map(([name, text]) => [name, Buffer.from(text, 'base64')]);
      payloads.push({
        metadata: Object.fromEntries(entries) as Record<string, Uint8Array>,
        data: Buffer.from(data, 'base64'),
      });
    }
    return value;
  };
}
