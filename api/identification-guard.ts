import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { RateLimiterRes } from 'rate-limiter-flexible';
import type { Severity } from '../contracts/security-alerts';
import type { Logger } from '../config/logger';
import {
  LOCKOUTS,
  lockoutKey,
  lockoutKeyPrefix,
  pauseS,
  type LockoutAttempts,
  type LockoutScope,
} from '../contracts/lockout';
import { appendJournal } from '../journal/journal';
import type { Database } from '../prisma/database';
import { openCounters } from './counters';
import { hiddenWords } from './hidden-words';

/** Where an identification was tried and by whom. */
export type Attempt = {
  readonly accessPoint: { readonly id: string; readonly houseId: string; readonly integration: string };
  readonly clientId: string;
  /** The caller's network as {@link networkOf} of network.ts writes it. */
  readonly network: string;
  /** Until when somebody waits for it, epoch milliseconds: what has not begun by then is not begun. */
  readonly notAfterMs: number;
};

/** What a failed identification gives away of being part of a series. */
export type Failure =
  { readonly method: 'face'; readonly near: boolean } | { readonly method: 'plate'; readonly canonical: string };

/** `failure`: it was nobody. */
export type Look = { readonly failure?: Failure };

export type IdentificationGuard = {
  /**
   * Looks for somebody unless identification is locked here or for this caller; counts when it was nobody (R2.6). At
   * one device one attempt at a time, in whichever process: else as many as are under way would come before the count.
   *
   * @returns what `look` found; `locked` when it was not asked; `late` when the time was over first
   */
  attempt<T extends Look>(attempt: Attempt, look: () => Promise<T>): Promise<T | 'locked' | 'late'>;
  readonly close: () => Promise<void>;
};

/**
 * Counts what failed and locks what is guessed at. A lock of a device is also read by the access decision.
 */
export function createIdentificationGuard(deps: {
  databaseUrl: string;
  database: Database;
  /** Hides networks and plates in the counters' keys. */
  key: Buffer;
  attempts: LockoutAttempts;
  log: Logger;
}): IdentificationGuard {
  const { database, attempts, log } = deps;
  const { pool, limiter: createLimiter, close } = openCounters(deps.databaseUrl, 16);
  const limiter = (scope: LockoutScope) =>
    createLimiter({
      keyPrefix: lockoutKeyPrefix(scope),
      points: attempts[scope],
      duration: LOCKOUTS[scope].withinS,
      blockDuration: LOCKOUTS[scope].forS,
    });
  const limiters = {
    device: limiter('device'),
    client: limiter('client'),
    network: limiter('network'),
    'near-miss': limiter('near-miss'),
    'plate-walk': limiter('plate-walk'),
    pause: createLimiter({ keyPrefix: lockoutKeyPrefix('pause'), points: 1, duration: 1 }),
  };
  const hidden = (...parts: string[]): string => hiddenWords(deps.key, ...parts);

  /** @returns how often it has happened now, and until when it is counted or locked */
  async function count(scope: LockoutScope, objectId: string): Promise<{ times: number; until: Date }> {
    const result = await limiters[scope].consume(objectId).catch((error: unknown) => {
      if (error instanceof RateLimiterRes) return error; // the limit is passed, and that is written down
      throw error;
    });
    return { times: result.consumedPoints, until: new Date(Date.now() + result.msBeforeNext) };
  }

  const isOver = (scope: LockoutScope, times: number): boolean => times > attempts[scope];

  /** Once for each lock, however many requests find out and in however many processes. */
  async function alert(attempt: Attempt, scope: LockoutScope, objectId: string, until: Date): Promise<void> {
    const { integration } = attempt.accessPoint;
    const kind = scope === 'near-miss' || scope === 'plate-walk' ? 'guessing-series' : 'lockout';
    const raised = await database.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${scope}/${objectId}`}, 0))`;
      const current = await tx.securityAlert.findFirst({ where: { kind, scope, objectId, until: { gt: new Date() } } });
      if (current) return false;
      const severity: Severity = 'high';
      const about = { integration, kind, severity, scope, objectId };
      await tx.securityAlert.create({ data: { id: randomUUID(), ...about, until } });
      await appendJournal(tx, {
        kind: 'security-alert',
        integration,
        objectId,
        actor: 'identification-guard',
        outcome: kind,
        reason: scope,
      });
      return true;
    });
    if (raised) log.warn({ event: 'security-alert', code: `${kind}/${scope}` }, 'somebody is guessing');
  }

  async function lockDevice({ accessPoint }: Attempt, scope: 'near-miss' | 'plate-walk'): Promise<void> {
    await limiters.device.block(accessPoint.id, LOCKOUTS[scope].forS);
    await limiters.pause.set(accessPoint.id, 1, LOCKOUTS[scope].forS);
  }

  async function series(attempt: Attempt, failure: Failure): Promise<void> {
    const { accessPoint } = attempt;
    if (failure.method === 'face') {
      if (!failure.near) return;
      const { times, until } = await count('near-miss', accessPoint.id);
      if (!isOver('near-miss', times)) return;
      await lockDevice(attempt, 'near-miss');
      await alert(attempt, 'near-miss', accessPoint.id, until);
      return;
    }
    const { canonical } = failure;
    // A car that waits before the barrier is read again and again; only another plate is a step.
    const seen = await count('plate-walk', hidden('seen', accessPoint.houseId, canonical));
    if (seen.times > 1) return;
    const steps = await Promise.all(
      masksOf(canonical).map((mask) => count('plate-walk', hidden('mask', accessPoint.houseId, mask))),
    );
    const walked = steps.find(({ times }) => isOver('plate-walk', times));
    if (!walked) return;
    await lockDevice(attempt, 'plate-walk');
    await alert(attempt, 'plate-walk', accessPoint.houseId, walked.until);
  }

  const queues = new Map<string, Promise<unknown>>();

  /** In this process by a queue, so that a flood at one device holds one connection; between processes by a lock. */
  function exclusively<T>({ accessPoint, notAfterMs }: Attempt, work: () => Promise<T>): Promise<T | 'late'> {
    const { id: accessPointId } = accessPoint;
    const isLate = (): boolean => Date.now() >= notAfterMs;
    const begin = async (): Promise<T | 'late'> =>
      isLate() ? 'late' : lockedInDatabase(accessPointId, async () => (isLate() ? 'late' : work()));
    const turn = (queues.get(accessPointId) ?? Promise.resolve()).then(begin, begin);
    queues.set(accessPointId, turn);
    const leave = (): void => {
      if (queues.get(accessPointId) === turn) queues.delete(accessPointId);
    };
    turn.then(leave, leave);
    return turn;
  }

  async function lockedInDatabase<T>(accessPointId: string, work: () => Promise<T>): Promise<T> {
    const connection = await pool.connect();
    try {
      const number = createHash('sha256').update(`identification/${accessPointId}`).digest().readBigInt64BE();
      await connection.query(`BEGIN; SELECT pg_advisory_xact_lock(${number.toString()})`);
      const result = await work();
      await connection.query('COMMIT');
      connection.release();
      return result;
    } catch (error) {
      // Ends the transaction, and the lock with it, whatever state the connection is in.
      connection.release(true);
      throw error;
    }
  }

  async function isLocked({ accessPoint, clientId, network }: Attempt): Promise<boolean> {
    const counted = [
      ['device', accessPoint.id],
      ['client', clientId],
      ['network', hidden(network)],
    ] as const;
    const keys = counted.map(([scope, objectId]) => lockoutKey(scope, objectId));
    const limits = counted.map(([scope]) => attempts[scope]);
    const { rows } = await pool.query(
      `SELECT 1 FROM rate_limits JOIN unnest($1::text[], $2::int[]) AS bound (key, attempts) USING (key)
          WHERE points > attempts AND expire > $3
         UNION ALL SELECT 1 FROM rate_limits WHERE key = $4 AND expire > $3 LIMIT 1`,
      [keys, limits, Date.now(), lockoutKey('pause', accessPoint.id)],
    );
    return rows.length > 0;
  }

  async function failed(attempt: Attempt, failure: Failure): Promise<void> {
    const { accessPoint, clientId } = attempt;
    const places = [
      ['device', accessPoint.id],
      ['client', clientId],
      ['network', hidden(attempt.network)],
    ] as const;
    const counts = await Promise.all(places.map(([scope, objectId]) => count(scope, objectId)));
    const [{ times: failures, until: counted } = { times: 0, until: new Date() }] = counts;
    const lockedS = isOver('device', failures) ? Math.ceil((counted.getTime() - Date.now()) / 1_000) : 0;
    const refusedS = Math.max(pauseS(failures), lockedS);
    if (refusedS > 0) await limiters.pause.set(accessPoint.id, 1, refusedS);
    for (const [index, [scope, objectId]] of places.entries()) {
      const { times, until } = counts[index] ?? { times: 0, until: new Date() };
      if (isOver(scope, times)) await alert(attempt, scope, objectId, until);
    }
    await series(attempt, failure);
  }

  async function looked<T extends Look>(attempt: Attempt, look: () => Promise<T>): Promise<T | 'locked' | 'late'> {
    if (await isLocked(attempt)) return 'locked';
    return exclusively(attempt, async () => {
      if (await isLocked(attempt)) return 'locked';
      const found = await look();
      if (found.failure) await failed(attempt, found.failure);
      return found;
    });
  }

  return {
    attempt: (attempt, look) => within(attempt.notAfterMs, () => looked(attempt, look)),
    close,
  };
}

/** What is under way when the time is over goes on, so that what fails is counted; its caller is not kept. */
async function within<T>(notAfterMs: number, work: () => Promise<T>): Promise<T | 'late'> {
  const isDone = new AbortController();
  const leftMs = Math.max(0, notAfterMs - Date.now());
  try {
    return await Promise.race([work(), pause(leftMs, 'late' as const, { signal: isDone.signal })]);
  } finally {
    isDone.abort();
  }
}

/** The plate with each of its characters in turn unknown: two plates share a mask when they differ there only. */
function masksOf(canonical: string): string[] {
  return Array.from({ length: canonical.length }, (_, at) => `${canonical.slice(0, at)}?${canonical.slice(at + 1)}`);
}
