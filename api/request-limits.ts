import { randomUUID } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import { RateLimiterRes, type RateLimiterPostgres } from 'rate-limiter-flexible';
import type { Caller } from './authentication/caller';
import { openCounters } from './counters';
import { networkOf } from './network';
import { hiddenId } from './oauth/hidden-id';
import { HttpProblem } from './problem';

/** What a contract allows a caller (R4.13). */
export type AgreedLimits = { readonly requestsPerSecond: number; readonly concurrency: number };

export type RequestLimits = {
  /** Comes behind authentication and before the body is read. @throws HttpProblem 429 with `Retry-After` */
  readonly admit: RequestHandler;
  /**
   * Stands before the addresses that know nobody yet: the token endpoint, sign-in, documents. @throws HttpProblem 429
   * with `Retry-After`
   */
  readonly admitAnyone: RequestHandler;
  readonly close: () => Promise<void>;
};

/** A request that is at work for longer than this belonged to a process that died. */
const LEASE_S = 30;

/**
 * Holds callers to the limits of their contract, and networks to one of ours, counted in PostgreSQL, so that they hold
 * over several API processes. A partner is counted as a whole, however many clients it has.
 *
 * @param deps.anyonePerSecond requests of one network (network.ts) at addresses that know nobody
 * @param deps.key hides networks in the counters' keys
 */
export function createRequestLimits(deps: {
  databaseUrl: string;
  anyonePerSecond: number;
  key: Buffer;
}): RequestLimits {
  const { pool, limiter: createLimiter, close } = openCounters(deps.databaseUrl, 4);
  const anyone = createLimiter({
    keyPrefix: 'requests-of-network',
    points: deps.anyonePerSecond,
    duration: 1,
    // What is refused anyway costs the database nothing.
    inMemoryBlockOnConsumed: deps.anyonePerSecond + 1,
  });

  /** One statement, because every request waits for it. */
  async function admission(key: string, limits: AgreedLimits): Promise<{ rate: Rate; release: (() => void) | null }> {
    const holder = randomUUID();
    const { rows } = await pool.query<{ used: number; reset_ms: number; slot: number | null }>({
      name: 'admit-request',
      text: `SELECT used, reset_ms, slot FROM admit_request($1, $2, $3, $4, make_interval(secs => ${LEASE_S.toString()}))`,
      values: [key, limits.requestsPerSecond, limits.concurrency, holder],
    });
    const [row] = rows;
    if (!row) throw new Error('The function gives one row.');
    const { used, reset_ms: resetMs, slot } = row;
    const rate = {
      isOver: used > limits.requestsPerSecond,
      remaining: Math.max(0, limits.requestsPerSecond - used),
      resetMs,
    };
    if (slot === null) return { rate, release: null };
    const release = (): void => {
      const free = {
        name: 'free-slot',
        text: `UPDATE request_slots SET until = '-infinity' WHERE key = $1 AND slot = $2 AND holder = $3`,
        values: [key, slot, holder],
      };
      // A slot that cannot be given back is free again when its lease ends.
      pool.query(free).catch(() => undefined);
    };
    return { rate, release };
  }

  return {
    admit: async (_req, res, next) => {
      const { caller } = res.locals as { caller: Caller };
      const key = caller.partnerId ?? `client/${caller.clientId}`;
      const { requestsPerSecond } = caller.limits;
      const { rate, release } = await admission(key, caller.limits);
      tell(res, 'contract', requestsPerSecond, rate);
      if (rate.isOver || release === null) throw tooMany(rate.isOver ? rate.resetMs : 1_000);
      holdWhileAtWork(res, release);
      next();
    },
    admitAnyone: async (req, res, next) => {
      const rate = await consume(anyone, hiddenId(deps.key, networkOf(req.ip)));
      tell(res, 'network', deps.anyonePerSecond, rate);
      if (rate.isOver) throw tooMany(rate.resetMs);
      next();
    },
    close,
  };
}

export type Rate = { readonly isOver: boolean; readonly remaining: number; readonly resetMs: number };

/** Counts one more. */
export async function consume(limiter: RateLimiterPostgres, key: string): Promise<Rate> {
  try {
    const { remainingPoints, msBeforeNext } = await limiter.consume(key);
    return { isOver: false, remaining: remainingPoints, resetMs: msBeforeNext };
  } catch (error) {
    if (!(error instanceof RateLimiterRes)) throw error;
    return { isOver: true, remaining: 0, resetMs: error.msBeforeNext };
  }
}

/** The fields of draft-ietf-httpapi-ratelimit-headers-10. */
function tell(res: Response, policy: 'contract' | 'network', perSecond: number, { remaining, resetMs }: Rate): void {
  res.set('ratelimit-policy', `"${policy}";q=${perSecond.toString()};w=1`);
  res.set('ratelimit', `"${policy}";r=${remaining.toString()};t=${wholeSeconds(resetMs)}`);
}

/** At least one: `Retry-After: 0` would ask for the next refusal. */
const wholeSeconds = (ms: number): string => Math.max(1, Math.ceil(ms / 1_000)).toString();

export const tooMany = (retryAfterMs: number): HttpProblem =>
  new HttpProblem({
    status: 429,
    type: 'too-many-requests',
    title: 'More requests than were agreed',
    headers: { 'retry-after': wholeSeconds(retryAfterMs) },
  });

type Admission = { began: boolean; readonly release: () => void };

/** A caller that hangs up does not get its place back while its request is still being worked on. */
function holdWhileAtWork(res: Response, release: () => void): void {
  const admission: Admission = { began: false, release };
  (res.locals as { admission?: Admission }).admission = admission;
  res.once('close', () => {
    if (!admission.began) release();
  });
}

/** Runs a handler and gives the place back when it has ended, whether the caller still listens or not. */
export async function atWork<T>(res: Response, work: () => Promise<T>): Promise<T> {
  const { admission } = res.locals as { admission?: Admission };
  if (admission) admission.began = true;
  try {
    return await work();
  } finally {
    admission?.release();
  }
}
