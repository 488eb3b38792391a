import { createHash } from 'node:crypto';
import { isUniqueViolation, type Database } from '../prisma/database';
import { HttpProblem } from './problem';

export type Answer = {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/** How long an answer is kept for repeats. */
const KEEP_MS = 24 * 3_600_000;
/** After this long without an answer the process that had the request is taken for dead and a repeat runs it again. */
const LOCK_MS = 30_000;

const KEY_FORMAT = /^[\x21-\x7e]{8,128}$/;

/** @throws HttpProblem 400 when the header is missing or unusable */
export function readIdempotencyKey(header: string | undefined): string {
  if (header !== undefined && KEY_FORMAT.test(header)) return header;
  throw new HttpProblem({
    status: 400,
    type: 'idempotency-key',
    title: 'The request is not valid',
    errors: [{ field: 'Idempotency-Key', message: 'is required: 8 to 128 visible ASCII characters' }],
  });
}

/** What makes two requests the same: operation, target and content. */
export function requestFingerprint(operation: string, target: string, content: Buffer | string): string {
  return createHash('sha256').update(`${operation}\n${target}\n`).update(content).digest('hex');
}

/**
 * A name-based UUID (RFC 9562, version 8) of what the client did: the same client, operation and key always name the
 * same resource, so that a repeat after a crash finds what the first try began (design rule 6).
 */
export function resourceIdFor(clientId: string, operation: string, key: string): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([clientId, operation, key]))
    .digest();
  digest[6] = (digest.readUInt8(6) & 0x0f) | 0x80;
  digest[8] = (digest.readUInt8(8) & 0x3f) | 0x80;
  return digest.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * Runs `work` once per client and key. A repeat gets the stored answer; the same key with other content is refused
 * (422), as is a repeat while the first is still at work (409). Answers of 5xx are not kept: the repeat tries again.
 */
export async function once(
  database: Database,
  request: { clientId: string; key: string; fingerprint: string },
  work: () => Promise<Answer>,
): Promise<Answer> {
  const { clientId, key, fingerprint } = request;
  const stored = await claim(database, request);
  if (stored) return stored;
  const id = { clientId_key: { clientId, key } };
  try {
    const answer = await work();
    await database.idempotencyRecord.update({
      where: id,
      data: { status: answer.status, body: JSON.stringify(answer.body), requestSha256: fingerprint },
    });
    return answer;
  } catch (error) {
    await database.idempotencyRecord.deleteMany({ where: { clientId, key, status: null } });
    throw error;
  }
}

async function claim(
  database: Database,
  { clientId, key, fingerprint }: { clientId: string; key: string; fingerprint: string },
): Promise<Answer | null> {
  const now = Date.now();
  const times = { lockedUntil: new Date(now + LOCK_MS), expiresAt: new Date(now + KEEP_MS) };
  try {
    await database.idempotencyRecord.create({ data: { clientId, key, requestSha256: fingerprint, ...times } });
    return null;
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
  }
  const record = await database.idempotencyRecord.findUnique({ where: { clientId_key: { clientId, key } } });
  if (record !== null && record.requestSha256 !== fingerprint) {
    throw new HttpProblem({
      status: 422,
      type: 'idempotency-key-reused',
      title: 'The Idempotency-Key was used for another request',
    });
  }
  if (record?.status != null) {
    const body: unknown = JSON.parse(record.body ?? 'null');
    return { status: record.status, body, headers: { 'idempotency-replayed': 'true' } };
  }
  const { count } = await database.idempotencyRecord.updateMany({
    where: { clientId, key, status: null, lockedUntil: { lt: new Date(now) } },
    data: times,
  });
  if (count === 1) return null;
  throw new HttpProblem({
    status: 409,
    type: 'request-in-progress',
    title: 'The same request is still being worked on',
    headers: { 'retry-after': '1' },
  });
}
