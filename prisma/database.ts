import { PrismaPg } from '@prisma/adapter-pg';
import { DatabaseError, Pool, type QueryResultRow } from 'pg';
import { Prisma, PrismaClient } from './generated/client';

export type Database = PrismaClient;
/** What a unit of work uses: the client itself or the transaction it opened. */
export type Transaction = Prisma.TransactionClient;

/** A part of a statement of our own, with its values apart. */
export const { sql } = Prisma;
export type Sql = ReturnType<typeof sql>;

/** A transaction waits for a connection as long as a statement does. */
const CONNECTION_WITHIN_MS = 5_000;

/**
 * Opens a pool towards PostgreSQL. The login role decides what it may see (row-level security): one role per
 * integration for workers, one for the API; never the owner of the tables.
 *
 * @param url connection string with user and password
 * @param poolSize connections at most
 * @param watch is given the pool, to show its figures
 */
export function openDatabase(url: string, poolSize = 10, watch?: (pool: Pool) => void): Database {
  const pool = new Pool({ connectionString: url, max: poolSize, connectionTimeoutMillis: CONNECTION_WITHIN_MS });
  watch?.(pool);
  const nameOf = preparedStatements();
  const statementNameGenerator = (query: { readonly sql: string }): string => nameOf(query.sql);
  const adapter = new PrismaPg(pool, { statementNameGenerator, disposeExternalPool: true });
  const transactionOptions = { maxWait: CONNECTION_WITHIN_MS };
  const database = new PrismaClient({ adapter, errorFormat: 'minimal', transactionOptions });
  connections.set(database, { pool, nameOf });
  return database;
}

/** The names are shared with Prisma: on one connection a name stands for one statement. */
const connections = new WeakMap<Database, Connection>();

/**
 * Runs one statement on the client's own pool and past its engine, which costs more than most statements do: for the few
 * that each opening waits for. Not within a transaction of Prisma's. Values come as `pg` reads them (JSON parsed, times
 * as Date, bigint and numeric as text), so that `Row` is a promise of the statement, as with `$queryRaw`.
 *
 * @param database as {@link openDatabase} gave it
 */
export async function query<Row extends QueryResultRow>(database: Database, statement: Sql): Promise<Row[]> {
  const connection = connections.get(database);
  if (!connection) throw new Error('This client was opened elsewhere.');
  return run(connection, statement);
}

/** A pool for statements of our own, towards a database that has no models of Prisma's. */
export type Statements = {
  /** As {@link query}. */
  run<Row extends QueryResultRow>(statement: Sql): Promise<Row[]>;
  close(): Promise<void>;
};

const ANSWERS_WITHIN_MS = 5_000;

/**
 * Opens such a pool. A statement that is not answered in time fails: they are short, and somebody stands at a door.
 *
 * @param url connection string with user and password
 * @param poolSize connections at most
 */
export function openStatements(url: string, poolSize: number, answersWithinMs = ANSWERS_WITHIN_MS): Statements {
  const times = { connectionTimeoutMillis: ANSWERS_WITHIN_MS, query_timeout: answersWithinMs };
  const pool = new Pool({ connectionString: url, max: poolSize, ...times });
  // A server that ends an idle connection is met by the next statement, and must not end the process.
  pool.on('error', () => undefined);
  const connection = { pool, nameOf: preparedStatements() };
  return {
    run: (statement) => run(connection, statement),
    close: () => pool.end(),
  };
}

type Connection = { readonly pool: Pool; readonly nameOf: (text: string) => string };

async function run<Row extends QueryResultRow>({ pool, nameOf }: Connection, { text, values }: Sql): Promise<Row[]> {
  const name = nameOf(text);
  try {
    return (await pool.query<Row>({ text, values, ...(name !== '' && { name }) })).rows;
  } catch (error) {
    throw withCode(error);
  }
}

/** `pg` has no code for a server that is gone in the middle of a statement: it gets that of the socket. */
function withCode(error: unknown): unknown {
  const isNamed = !(error instanceof Error) || 'code' in error;
  if (isNamed || !/^(Connection terminated|timeout exceeded|Query read timeout)/.test(error.message)) return error;
  return Object.assign(error, { code: error.message.includes('timeout') ? 'ETIMEDOUT' : 'ECONNRESET' });
}

/** Whether `error` says that a unique constraint was hit: somebody else wrote the row first. */
export const isUniqueViolation = (error: unknown): boolean =>
  error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';

/** Lists of different lengths are different statements: past so many, the rest is parsed each time as without a name. */
const PREPARED_AT_MOST = 300;

/**
 * Has the server parse and plan a statement once for each connection, not each time it is run: it is the same few that
 * an opening waits for. Wants sessions of its own (no pooler that shares one between transactions).
 */
function preparedStatements(): (text: string) => string {
  const names = new Map<string, string>();
  return (text) => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size >= PREPARED_AT_MOST) return '';
    const name = `s${names.size.toString()}`;
    names.set(text, name);
    return name;
  };
}

/** Whether `error` came from the database or the way to it: not there, not let in, or it broke off. */
export const isDatabaseError = (error: unknown): boolean =>
  error instanceof DatabaseError ||
  error instanceof Prisma.PrismaClientKnownRequestError ||
  error instanceof Prisma.PrismaClientUnknownRequestError ||
  error instanceof Prisma.PrismaClientInitializationError;
