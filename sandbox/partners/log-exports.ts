import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Partner } from './partner';

/** How the partner bends what it delivers. */
export const LogExportWish = z.strictObject({
  /** Leaves out so many of the newest entries and says nothing of it. */
  hide: z.int().min(0).default(0),
  /** Leaves out so many of the newest entries, and names them as other customers'. */
  withhold: z.int().min(0).default(0),
});

const Obligations = z.object({
  logExports: z.array(
    z.object({ demandId: z.string(), from: z.iso.datetime(), to: z.iso.datetime(), status: z.string() }),
  ),
});
/** Entries of a part: as many as the company takes in one. */
const AT_ONCE = 1_000;

type Delivered = { readonly demandId: string; readonly parts: number; readonly statuses: readonly (number | null)[] };

/** What somebody at a partner does about a demand: looks it up, takes that part of the log, signs it and sends it. */
export async function deliverLogExports(
  { company, store }: Partner,
  key: KeyObject,
  { hide, withhold }: z.infer<typeof LogExportWish>,
): Promise<Delivered[]> {
  const answer = await company.call({ method: 'GET', path: '/partner/v1/obligations' });
  const { logExports } = Obligations.parse(answer.body);
  await store.settled();
  const delivered: Delivered[] = [];
  for (const { demandId, from, to } of logExports.filter(({ status }) => status !== 'received')) {
    const within = [...store.ledger.values()]
      .filter(({ at }) => from <= at && at <= to)
      .sort((a, b) => (a.at < b.at ? -1 : 1));
    const told = within.slice(0, Math.max(0, within.length - hide - withhold));
    const kept = within.slice(told.length, within.length - hide);
    const entries = told.map(({ at, key: name, kind }) => ({ at, key: name, event: EVENTS[kind] ?? 'other' }));
    // The company asked before its order arrived here.
    const [first, last] = [kept[0]?.at ?? from, kept.at(-1)?.at ?? to];
    const withheld =
      kept.length === 0
        ? []
        : [{ from: secondsBefore(first), to: last, entries: kept.length, reason: 'other-customers' }];
    const parts = Math.max(1, Math.ceil(entries.length / AT_ONCE));
    const statuses: (number | null)[] = [];
    for (let part = 1; part <= parts; part++) {
      const some = entries.slice((part - 1) * AT_ONCE, part * AT_ONCE);
      const body = signed(key, { demandId, part, parts, entries: some, withheld: part === 1 ? withheld : [] });
      const sent = await company.call({
        method: 'POST',
        path: `/partner/v1/log-exports/${demandId}/parts`,
        body,
        idempotencyKey: `log-export-${demandId}-${String(part)}`,
      });
      statuses.push(sent.status);
    }
    delivered.push({ demandId, parts, statuses });
  }
  return delivered;
}

const secondsBefore = (at: string): string => new Date(Date.parse(at) - 10_000).toISOString();

const EVENTS: Readonly<Record<string, string>> = {
  open: 'open',
  'face-enroll': 'enroll',
  'face-delete': 'delete',
  'plate-allow': 'plate',
  'plate-block': 'plate',
};

/** RFC 7515, flattened JSON, EdDSA; the key comes along, named by its thumbprint (RFC 7638). */
function signed(key: KeyObject, content: object) {
  const { crv, kty, x } = createPublicKey(key).export({ format: 'jwk' });
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
  const header = { alg: 'EdDSA', typ: 'domovoy-log-export+json', kid, jwk: { kty, crv, x } };
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const [head, payload] = [encoded(header), encoded(content)];
  return {
    payload,
    protected: head,
    signature: sign(null, Buffer.from(`${head}.${payload}`), key).toString('base64url'),
  };
}
