/** What a deletion of biometrics knows, and what follows from it. Pure: times come as milliseconds. */

/** One house at which a partner holds faces. */
export type Holder = {
  readonly houseId: string;
  /** Number of the order to delete that is out, or due. */
  readonly order: number;
  /** `ordered`: the partner took the order and has not confirmed it. */
  readonly state: 'due' | 'ordered' | 'deleted';
  /** When an enrollment was last seen under way there; `null`: none was, or it was followed by an order of its own. */
  readonly busyAtMs: number | null;
};

export type Deletion = {
  readonly holders: readonly Holder[];
  /** Enrollments may be under way: it is to be looked again where something may be held. */
  readonly isBusy: boolean;
  /** Enrollments that were told to end. */
  readonly cancelled: readonly string[];
  /** How often a person was called. */
  readonly level: number;
  /** How often holders were asked. */
  readonly question: number;
};

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = HOUR_MS;
/** After the first day. A partner that comes back may also tell us by itself. */
const LONGEST_PAUSE_LATER_MS = 6 * HOUR_MS;

/**
 * A photo that was sent and not answered may reach the partner later than its own undo. Nothing of ours is under way
 * for longer than this; an order that is given afterwards is the last word.
 */
export const SETTLE_MS = 60_000;

export const begun = (): Deletion => ({ holders: [], isBusy: true, cancelled: [], level: 0, question: 0 });

/** Takes in where something may be held and what is still under way. */
export function surveyed(
  deletion: Deletion,
  survey: { readonly houseIds: readonly string[]; readonly inFlight: readonly { readonly houseId: string }[] },
  nowMs: number,
): Deletion {
  const known = new Set(deletion.holders.map(({ houseId }) => houseId));
  const found = survey.houseIds
    .filter((houseId) => !known.has(houseId))
    .map((houseId): Holder => ({ houseId, order: 0, state: 'due', busyAtMs: null }));
  const isBusy = (houseId: string) => survey.inFlight.some((enrollment) => enrollment.houseId === houseId);
  const holders = [...deletion.holders, ...found].map((holder): Holder => {
    if (isBusy(holder.houseId)) return { ...holder, busyAtMs: nowMs };
    const hasSettled = holder.busyAtMs !== null && nowMs - holder.busyAtMs >= SETTLE_MS;
    return hasSettled ? { ...holder, order: holder.order + 1, state: 'due', busyAtMs: null } : holder;
  });
  return { ...deletion, holders, isBusy: survey.inFlight.length > 0 };
}

/** Whether to look again: while something is under way, and until what was has settled. */
export const needsSurvey = ({ isBusy, holders }: Deletion): boolean =>
  isBusy || holders.some(({ busyAtMs }) => busyAtMs !== null);

/** Takes in what a holder answered. */
export function answered(deletion: Deletion, houseId: string, answer: 'deleted' | 'pending' | 'none'): Deletion {
  if (answer === 'none') return deletion;
  const state = answer === 'deleted' ? 'deleted' : 'ordered';
  return {
    ...deletion,
    holders: deletion.holders.map((holder) => (holder.houseId === houseId ? { ...holder, state } : holder)),
  };
}

export const toAsk = ({ holders }: Deletion): readonly Holder[] => holders.filter(({ state }) => state !== 'deleted');

/** Every holder has confirmed, and none of it before an enrollment that could bring a face back had ended. */
export const isConfirmed = ({ holders, isBusy }: Deletion): boolean =>
  !isBusy && holders.every(({ state, busyAtMs }) => state === 'deleted' && busyAtMs === null);

/** How many calls to a person are due: after an hour, after a day, then every day. */
export const escalationLevel = (elapsedMs: number): number =>
  elapsedMs < HOUR_MS ? 0 : 1 + Math.floor(elapsedMs / DAY_MS);

/** @returns milliseconds until the next call to a person is due */
export const msUntilEscalation = (elapsedMs: number): number =>
  (elapsedMs < HOUR_MS ? HOUR_MS : (Math.floor(elapsedMs / DAY_MS) + 1) * DAY_MS) - elapsedMs;

/** A person was called: whoever has not confirmed is ordered anew, in case it forgot. */
export const escalated = (deletion: Deletion, level: number): Deletion => ({
  ...deletion,
  level,
  isBusy: true,
  holders: deletion.holders.map((holder) =>
    holder.state === 'deleted' ? holder : { ...holder, order: holder.order + 1, state: 'due' },
  ),
});

/** @returns milliseconds to wait for a hint before asking again, never past the next call to a person */
export function pauseMs({ question, holders }: Deletion, elapsedMs: number): number {
  const longest = elapsedMs < DAY_MS ? LONGEST_PAUSE_MS : LONGEST_PAUSE_LATER_MS;
  const growing = Math.min(longest, FIRST_PAUSE_MS * 2 ** Math.min(question, 20));
  const settling = holders.some(({ busyAtMs }) => busyAtMs !== null) ? SETTLE_MS : longest;
  return Math.max(1, Math.min(growing, settling, msUntilEscalation(elapsedMs)));
}
