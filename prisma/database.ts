import { PrismaPg } from '@prisma/adapter-pg';
import { Prisma, PrismaClient } from './generated/client';

export type Database = PrismaClient;
/** What a unit of work uses: the client itself or the transaction it opened. */
export type Transaction = Prisma.TransactionClient;

/**
 * Opens a pool towards PostgreSQL. The login role decides what it may see (row-level security): one role per
 * integration for workers, one for the API; never the owner of the tables.
 *
 * @param url connection string with user and password
 * @param poolSize connections at most
 */
export function openDatabase(url: string, poolSize = 10): Database {
  const adapter = new PrismaPg({ connectionString: url, max: poolSize, connectionTimeoutMillis: 5_000 });
  return new PrismaClient({ adapter, errorFormat: 'minimal' });
}

/** Whether `error` says that a unique constraint was hit: somebody else wrote the row first. */
export const isUniqueViolation = (error: unknown): boolean =>
  error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
