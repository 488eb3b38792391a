import type { CompanyAnswer, CompanyCall, Tampering } from './company-client';
import type { OutgoingEvent } from './custody';
import type { CustodyStore } from './custody-store';
import type { Faults } from './faults';

/** Pauses between attempts at one webhook, milliseconds; after the last one it is given up (about four minutes). */
export const SCHEDULE_MS = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 60_000, 60_000];

/**
 * Sends webhooks until the company has taken them. What is due stands in the log before the first attempt, so a killed
 * process sends it after its next start; an attempt whose answer was lost is repeated with the same key.
 */
export function createOutbox(deps: {
  readonly store: () => CustodyStore;
  readonly faults: Faults;
  readonly call: (call: CompanyCall, options: { attempts: number; tampering?: Tampering }) => Promise<CompanyAnswer>;
}) {
  const timers = new Set<NodeJS.Timeout>();
  const stopping = new AbortController();
  const isStopping = () => stopping.signal.aborted;

  async function attempt(event: OutgoingEvent): Promise<CompanyAnswer | null> {
    const striking = deps.faults.strike('webhooks');
    const find = (kind: string) => striking.find(({ fault }) => fault === kind);
    const delay = find('delay');
    if (delay !== undefined) await new Promise((resolve) => later(delay.delayMs ?? 1_000, () => resolve(undefined)));
    if (find('hang') !== undefined) return null;
    const tampering = (['wrong-signature', 'unsigned'] as const).find((each) => find(each) !== undefined);
    const call: CompanyCall = {
      method: 'POST',
      path: `/partner/v1/webhooks/${event.kind}`,
      body: event.body,
      idempotencyKey: event.eventId,
    };
    const options = { attempts: 1, ...(tampering === undefined ? {} : { tampering }) } as const;
    const copies = find('duplicate-webhook') === undefined ? 1 : 2;
    const [answer] = await Promise.all(Array.from({ length: copies }, () => deps.call(call, options)));
    // The answer is taken for lost: the company has the event and will get it again.
    return find('lost-answer') === undefined ? (answer ?? null) : null;
  }

  async function send(eventId: string): Promise<CompanyAnswer | null> {
    const event = deps.store().events.get(eventId);
    if (isStopping() || event?.state !== 'waiting') return null;
    const answer = await attempt(event);
    if (isStopping()) return answer;
    const attempts = event.attempts + 1;
    const state = after(answer, attempts);
    await deps
      .store()
      .commit([{ record: 'event', event: { ...event, attempts, state, lastStatus: answer?.status ?? null } }]);
    const pauseMs = Math.max(SCHEDULE_MS[attempts - 1] ?? 0, (answer?.retryAfterS ?? 0) * 1_000);
    if (state === 'waiting') later(pauseMs, () => void send(eventId).catch(() => undefined));
    return answer;
  }

  function later(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      then();
    }, ms);
    timers.add(timer);
  }

  return {
    /** Makes the first attempt and gives its answer; further ones follow by themselves. */
    send,
    /** Takes up again what was given up. */
    async retryGivenUp(): Promise<number> {
      const given = [...deps.store().events.values()].filter(({ state }) => state === 'given-up');
      await deps
        .store()
        .commit(given.map((event) => ({ record: 'event', event: { ...event, state: 'waiting', attempts: 0 } })));
      for (const { eventId } of given) void send(eventId).catch(() => undefined);
      return given.length;
    },
    stop(): void {
      stopping.abort();
      timers.forEach(clearTimeout);
    },
  };
}
export type Outbox = ReturnType<typeof createOutbox>;

/** A 4xx is the company's last word; 429 only asks to come later. */
function after(answer: CompanyAnswer | null, attempts: number): OutgoingEvent['state'] {
  const status = answer?.status ?? null;
  if (status !== null && status < 300) return 'delivered';
  if (status !== null && status < 500 && status !== 429) return 'refused';
  return attempts > SCHEDULE_MS.length ? 'given-up' : 'waiting';
}
