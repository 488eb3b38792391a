import { Pool } from 'pg';
import { RateLimiterPostgres, type IRateLimiterPostgresOptions } from 'rate-limiter-flexible';

export type Counters = {
  readonly pool: Pool;
  /** A limiter of its own over the same rows; `keyPrefix` keeps it apart from the others. */
  readonly limiter: (
    limits: Pick<
      IRateLimiterPostgresOptions,
      'keyPrefix' | 'points' | 'duration' | 'blockDuration' | 'inMemoryBlockOnConsumed'
    >,
  ) => RateLimiterPostgres;
  readonly close: () => Promise<void>;
};

/**
 * Counts in PostgreSQL (`rate_limits`), so that counts hold over several API processes and over restarts. Without the
 * database nothing opens anyway, so there is no count in memory to fall back on.
 *
 * @param connections at most; each user of counters has its own, so that none waits for another's
 */
export function openCounters(databaseUrl: string, connections: number): Counters {
  const pool = new Pool({ connectionString: databaseUrl, max: connections });
  // An idle connection that breaks is replaced at the next use; without a listener it would end the process.
  pool.on('error', () => undefined);
  return {
    pool,
    limiter: (limits) =>
      new RateLimiterPostgres({
        storeClient: pool,
        storeType: 'pool',
        tableName: 'rate_limits',
        tableCreated: true,
        clearExpiredByTimeout: false,
        ...limits,
      }),
    close: () => pool.end(),
  };
}
