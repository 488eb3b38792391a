import type { Database } from '../prisma/database';
import type { ExchangeJournal } from './exchanges';
import type { Noted } from './spool';

/** Why somebody was not let in: what they brought is no credential, came before, or is from another time. */
export const REFUSAL_CODES = ['credentials', 'replayed', 'signature', 'signature-time'] as const;
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

export type RefusalJournal = {
  /** Counts it; nobody waits for it to be written. */
  readonly refused: (refusal: Refusal) => void;
  /** Hands on what was counted, before the journal of exchanges is closed. */
  readonly close: () => Promise<void>;
};

const EVERY_MS = 10_000;
/** Networks that are told apart at a time; the others are counted together. */
const AT_MOST = 500;
const MANY = 'many-networks';
const NAMES_KEPT = 20;
const NAME_CHARACTERS = 8;

type Counted = { times: number; readonly names: Set<string>; readonly refusal: Refusal };

/**
 * Whoever is not let in writes nothing in the journal by themselves: each network is counted, and leaves one entry for
 * each turn, however often it knocks. Monitoring reads them (monitoring/rules/).
 *
 * @param journal writes the entries, as those of exchanges
 */
export function createRefusalJournal(journal: Pick<ExchangeJournal, 'refused'>, everyMs = EVERY_MS): RefusalJournal {
  let counted = new Map<string, Counted>();
  let timer: NodeJS.Timeout | undefined;

  function handOn(): void {
    const turn = counted;
    counted = new Map();
    for (const each of turn.values()) journal.refused(recordOf(each));
  }

  return {
    refused(refusal) {
      const network = counted.size < AT_MOST || counted.has(keyOf(refusal)) ? refusal.network : MANY;
      const kept = { ...refusal, network };
      const key = keyOf(kept);
      const known = counted.get(key) ?? { times: 0, names: new Set<string>(), refusal: kept };
      known.times++;
      if (refusal.name !== undefined && known.names.size < NAMES_KEPT) {
        known.names.add(refusal.name.slice(0, NAME_CHARACTERS));
      }
      counted.set(key, known);
      timer ??= setTimeout(() => {
        timer = undefined;
        handOn();
      }, everyMs).unref();
    },
    close() {
      clearTimeout(timer);
      handOn();
      return Promise.resolve();
    },
  };
}

const keyOf = ({ code, network, client }: Refusal): string => JSON.stringify([code, network, client?.id]);

const recordOf = ({ times, names, refusal }: Counted): Noted => ({
  kind: 'refusal',
  integration: refusal.client?.integration ?? null,
  objectId: refusal.network,
  actor: refusal.client?.id ?? 'stranger',
  outcome: refusal.code,
  reason: `${times.toString()} ${[...names].join()}`,
});

/** How many were refused since then, by why: an entry counts many (see {@link recordOf}). */
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
  if (entry.kind !== 'refusal' || code === undefined) return null;
  const [times, names = ''] = (entry.reason ?? '').split(' ');
  return { code, times: Number(times), names: names === '' ? [] : names.split(',') };
}
