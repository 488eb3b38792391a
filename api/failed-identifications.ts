import { Pool } from 'pg';
import { RateLimiterPostgres } from 'rate-limiter-flexible';
import { LOCKOUT, lockoutKeyPrefix } from '../contracts/lockout';

export type FailedIdentifications = {
  /** Counts one face or plate that was nobody's at this access point; too many lock identification there (R2.6). */
  record(accessPointId: string): Promise<void>;
  readonly close: () => Promise<void>;
};

/**
 * Counts in PostgreSQL, so that the count holds over several API processes and over restarts. Whether a device is
 * locked is not decided here: the access decision reads the same rows. Without the database nothing opens anyway, so
 * there is no count in memory to fall back on.
 */
export function createFailedIdentifications(databaseUrl: string): FailedIdentifications {
  const pool = new Pool({ connectionString: databaseUrl, max: 2 });
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => undefined);
  const limiter = new RateLimiterPostgres({
    storeClient: pool,
    storeType: 'pool',
    tableName: 'rate_limits',
    tableCreated: true,
    clearExpiredByTimeout: false,
    keyPrefix: lockoutKeyPrefix,
    points: LOCKOUT.attempts,
    duration: LOCKOUT.withinS,
    blockDuration: LOCKOUT.forS,
  });
  return {
    async record(accessPointId) {
      await limiter.consume(accessPointId).catch((error: unknown) => {
        if (error instanceof Error) throw error; // anything else says that the limit is reached, and is written down
      });
    },
    close: () => pool.end(),
  };
}
