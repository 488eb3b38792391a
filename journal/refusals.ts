import type { Database } from '../prisma/database';
import type { Noted } from './spool';

/**
 * Why somebody was not let in: what they brought is no credential, came before, or is from another time; or there were
 * so many before that nobody looked at it.
 */
export const REFUSAL_CODES = ['credentials', 'replayed', 'signature', 'signature-time', 'too-many'] as const;
export type RefusalCode = (typeof REFUSAL_CODES)[number];

export type Refusal = {
  readonly code: RefusalCode;
  /** The network that it came from, hidden: it stands for whoever it is. */
  readonly network: string;
  /** Who proved to be who, before something else was wrong. */
  readonly client?: { readonly id: string; readonly integration: string | null };
  /** Stands for the name under which somebody tried; the first characters are enough to tell a few apart. */
  readonly name?: string;
};

/** Who it was of whom nothing is proved. */
export const STRANGER = 'stranger';
/** Networks that are told apart at a time; the others are counted together. */
const AT_MOST = 500;
const MANY = 'many-networks';
const NAMES_KEPT = 20;
const NAME_CHARACTERS = 8;

/** One refusal as it is noted, before {@link countedTogether}. */
export const refusalRecord = ({ code, network, client, name }: Refusal): Noted => ({
  kind: 'refusal',
  integration: client?.integration ?? null,
  objectId: network,
  actor: client?.id ?? STRANGER,
  outcome: code,
  reason: `1 ${name?.slice(0, NAME_CHARACTERS) ?? ''}`,
});

/**
 * Whoever is not let in writes nothing in the journal by themselves: of what is written at a time each network has one
 * entry, which says how often it knocked. Monitoring reads them (monitoring/rules/).
 *
 * @returns everything else, and then the refusals
 */
export function countedTogether(records: readonly Noted[]): Noted[] {
  const counted = new Map<string, { times: number; readonly names: Set<string>; readonly record: Noted }>();
  for (const record of records) {
    if (record.kind !== 'refusal') continue;
    const { times, names } = partsOf(record);
    const isToldApart = counted.size < AT_MOST || counted.has(keyOf(record));
    const kept = isToldApart ? record : { ...record, objectId: MANY };
    const known = counted.get(keyOf(kept)) ?? { times: 0, names: new Set<string>(), record: kept };
    known.times += times;
    for (const name of names) if (known.names.size < NAMES_KEPT) known.names.add(name);
    counted.set(keyOf(kept), known);
  }
  return [
    ...records.filter(({ kind }) => kind !== 'refusal'),
    ...[...counted.values()].map(({ times, names, record }) => ({
      ...record,
      reason: `${times.toString()} ${[...names].join()}`,
    })),
  ];
}

const keyOf = ({ outcome, objectId, actor }: Noted): string => JSON.stringify([outcome, objectId, actor]);

function partsOf({ reason }: { readonly reason?: string | null | undefined }) {
  const [times, names = ''] = (reason ?? '').split(' ');
  return { times: Number(times), names: names === '' ? [] : names.split(',') };
}

/** How many were refused since then, by why: an entry counts many (see {@link countedTogether}). */
export async function countRefusals(
  database: Database,
  since: Date,
): Promise<readonly { readonly code: string; readonly times: number }[]> {
  const rows: { code: string; times: bigint }[] = await database.$queryRaw`
    SELECT outcome AS code, sum(coalesce(substring(reason FROM '^\\d{1,9}')::bigint, 0))::bigint AS times
    FROM journal_entries
    WHERE kind = 'refusal' AND at >= ${since} AND outcome = ANY(${[...REFUSAL_CODES]})
    GROUP BY outcome`;
  return rows.map(({ code, times }) => ({ code, times: Number(times) }));
}

/** @returns `null` for an entry that counts no refusals */
export function readRefusals(entry: {
  readonly kind: string;
  readonly outcome: string | null;
  readonly reason: string | null;
}): { readonly code: RefusalCode; readonly times: number; readonly names: readonly string[] } | null {
  const code = REFUSAL_CODES.find((known) => known === entry.outcome);
  return entry.kind !== 'refusal' || code === undefined ? null : { code, ...partsOf(entry) };
}
