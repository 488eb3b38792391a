import { randomUUID } from 'node:crypto';
import type { RequestHandler, Response } from 'express';
import { RateLimiterRes, type RateLimiterPostgres } from 'rate-limiter-flexible';
import { sql, type Sql } from '../prisma/database';
import type { Caller } from './authentication/caller';
import { openCounters } from './counters';
import { networkOf } from './network';
import { hiddenId } from './oauth/hidden-id';
import { HttpProblem } from './problem';

/** What a contract allows a caller (R4.13). */
export type AgreedLimits = { readonly requestsPerSecond: number; readonly concurrency: number };

/** What the database says of one request more. */
export type Admitted = { readonly used: number; readonly resetMs: number; readonly slot: number | null };

export type RequestLimits = {
  /**
   * Lets the statement that looks for the caller count the request and take its place, so that it waits for one and not
   * for two; `admit` says what came of it.
   *
   * @returns the function to be called in `FROM`, and whom to tell what it gave
   */
  readonly taking: (res: Response) => {
    readonly from: (caller: Readonly<Record<'key' | 'perSecond' | 'concurrency', Sql>>) => Sql;
    readonly took: (caller: { readonly key: string; readonly perSecond: number }, admitted: Admitted) => void;
  };
  /** Comes behind authentication and before the body is read. @throws HttpProblem 429 with `Retry-After` */
  readonly admit: RequestHandler;
  /**
   * Stands before the addresses that know nobody yet: the token endpoint, sign-in, documents. @throws HttpProblem 429
   * with `Retry-After`
   */
  readonly admitAnyone: RequestHandler;
  readonly close: () => Promise<void>;
};

/** Whose count it is: a partner's as a whole, or that of one of our own backends. */
export const admissionKey = ({
  partnerId,
  clientId,
}: {
  readonly partnerId?: string | null | undefined;
  readonly clientId: string;
}): string => partnerId ?? `client/${clientId}`;

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
  async function ask(key: string, limits: AgreedLimits): Promise<Admission> {
    const holder = randomUUID();
    const { rows } = await pool.query<Admitted>({
      name: 'admit-request',
      text: `SELECT used, reset_ms AS "resetMs", slot
        FROM admit_request($1, $2, $3, $4, make_interval(secs => ${LEASE_S.toString()}))`,
      values: [key, limits.requestsPerSecond, limits.concurrency, holder],
    });
    const [row] = rows;
    if (!row) throw new Error('The function gives one row.');
    return admissionOf({ key, perSecond: limits.requestsPerSecond, holder }, row);
  }

  function admissionOf(
    { key, perSecond, holder }: { key: string; perSecond: number; holder: string },
    { used, resetMs, slot }: Admitted,
  ): Admission {
    const rate = { isOver: used > perSecond, remaining: Math.max(0, perSecond - used), resetMs };
    if (slot === null) return { rate, release: null, began: false };
    const release = (): void => {
      const free = {
        name: 'free-slot',
        text: `UPDATE request_slots SET until = '-infinity' WHERE key = $1 AND slot = $2 AND holder = $3`,
        values: [key, slot, holder],
      };
      // A slot that cannot be given back is free again when its lease ends.
      pool.query(free).catch(() => undefined);
    };
    return { rate, release, began: false };
  }

  return {
    taking(res) {
      const holder = randomUUID();
      return {
        from: ({ key, perSecond, concurrency }) =>
          sql`admit_request(${key}, ${perSecond}, ${concurrency}, ${holder}::uuid,
            make_interval(secs => ${LEASE_S}::double precision))`,
        took: ({ key, perSecond }, admitted) => {
          holdWhileAtWork(res, admissionOf({ key, perSecond, holder }, admitted));
        },
      };
    },
    admit: async (_req, res, next) => {
      const { caller, admission: taken } = res.locals as { caller: Caller; admission?: Admission };
      const admission = taken ?? (await ask(admissionKey(caller), caller.limits));
      const { rate, release } = admission;
      tell(res, 'contract', caller.limits.requestsPerSecond, rate);
      if (rate.isOver || release === null) throw tooMany(rate.isOver ? rate.resetMs : 1_000);
      if (!taken) holdWhileAtWork(res, admission);
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

type Admission = {
  readonly rate: Rate;
  /** `null`: there was no place. */
  readonly release: (() => void) | null;
  began: boolean;
};

/** A caller that hangs up does not get its place back while its request is still being worked on. */
function holdWhileAtWork(res: Response, admission: Admission): void {
  (res.locals as { admission?: Admission }).admission = admission;
  res.once('close', () => {
    if (!admission.began) admission.release?.();
  });
}

/** Runs a handler and gives the place back when it has ended, whether the caller still listens or not. */
export async function atWork<T>(res: Response, work: () => Promise<T>): Promise<T> {
  const { admission } = res.locals as { admission?: Admission };
  if (admission) admission.began = true;
  try {
    return await work();
  } finally {
    admission?.release?.();
  }
}
