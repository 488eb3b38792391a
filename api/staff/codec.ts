import type { Payload, PayloadCodec } from '@temporalio/common';
import { Router } from 'express';
import { z } from 'zod';
import { defineOperation, type Operation } from '../operation';

/** A page of a history has up to that many payloads, and that much of them. */
const MOST_PAYLOADS = 1_000;
const MOST_BYTES = 4 * 1024 * 1024;

/** A payload as the Temporal UI and `temporal` write it: the JSON of its protobuf message. */
const EncodedPayload = z
  .object({ metadata: z.record(z.string(), z.base64()).optional(), data: z.base64().optional() })
  .meta({ id: 'EncodedPayload' });
const EncodedPayloads = z
  .object({ payloads: z.array(EncodedPayload).max(MOST_PAYLOADS) })
  .meta({ id: 'EncodedPayloads' });

const PATH = '/codec/decode';

/**
 * The codec server of the Temporal UI (https://docs.temporal.io/production-deployment/data-encryption), behind the
 * staff sign-in: its address for the UI is `<API>/staff/v1/codec`. Who decoded is in the journal, what it was is not.
 */
export function codecOperations(deps: { codec: PayloadCodec; uiOrigin: string | undefined }): Operation[] {
  return [
    defineOperation({
      id: 'decodePayloads',
      method: 'post',
      path: PATH,
      summary: 'Payloads of executions, readable',
      description:
        'What is not encrypted, or under a key that is gone, comes back as it is. There is no way to encode here.',
      permission: 'payloads:decode',
      fromOrigin: deps.uiOrigin,
      params: z.object({}),
      body: { kind: 'json', schema: EncodedPayloads, maxBytes: MOST_BYTES },
      responses: { 200: { description: 'The same payloads, decoded', schema: EncodedPayloads } },
      async handle({ body }) {
        const payloads = await Promise.all(body.payloads.map((payload) => decoded(deps.codec, payload)));
        return { status: 200, body: { payloads }, headers: { 'cache-control': 'no-store' } };
      },
    }),
  ];
}

async function decoded(codec: PayloadCodec, encoded: z.infer<typeof EncodedPayload>) {
  try {
    const [payload] = await codec.decode([payloadOf(encoded)]);
    return payload ? jsonOf(payload) : encoded;
  } catch {
    return encoded;
  }
}

const payloadOf = ({ metadata = {}, data }: z.infer<typeof EncodedPayload>): Payload => ({
  metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, Buffer.from(value, 'base64')])),
  ...(data !== undefined && { data: Buffer.from(data, 'base64') }),
});

const jsonOf = ({ metadata, data }: Payload): z.infer<typeof EncodedPayload> => ({
  metadata: Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
  ),
  ...(data && { data: Buffer.from(data).toString('base64') }),
});

/** Lets the pages of the UI, and of nobody else, read the answers (Fetch, section 3.3). */
export function codecCors(uiOrigin: string | undefined): Router {
  const router = Router({ caseSensitive: true, strict: true });
  if (uiOrigin === undefined) return router;
  router.use(`/staff/v1${PATH}`, (req, res, next) => {
    res.vary('origin');
    if (req.get('origin') !== uiOrigin) {
      next();
      return;
    }
    res.set({ 'access-control-allow-origin': uiOrigin, 'access-control-allow-credentials': 'true' });
    // The UI reads the answer from its own origin; helmet's default is for pages that nobody else reads.
    res.set('cross-origin-resource-policy', 'cross-origin');
    if (req.method !== 'OPTIONS') {
      next();
      return;
    }
    res
      .status(204)
      .set({
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': 'content-type, x-namespace, authorization',
        'access-control-max-age': '600',
      })
      .end();
  });
  return router;
}
