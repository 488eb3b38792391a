import { Option } from 'commander';
import { readAuditConfiguration } from '../config/environment';
import { isDatabaseError, openDatabase, type Database } from '../prisma/database';
import { CommandRefusal } from './refusal';

export const databaseOption = (): Option =>
  new Option('--database <url>', 'the database to ask; better given as DATABASE_URL or DATABASE_URL_FILE');

/** What one person may check, another may not: the login decides. Its address is not told when it does not answer. */
export async function withDatabase<T>(url: string | undefined, work: (database: Database) => Promise<T>): Promise<T> {
  const database = openDatabase(databaseUrl(url), 2);
  try {
    return await work(database);
  } catch (error) {
    if (isDatabaseError(error))
      throw new CommandRefusal('The database does not answer, or does not let this login in.');
    throw error;
  } finally {
    await database.$disconnect();
  }
}

/**
 * Writes that the journal or logs are taken out, by which login and how much of it: before anything is, so that no copy
 * leaves without an entry.
 *
 * @param part listed words: what it was narrowed by
 */
export async function noteTakenOut(
  database: Database,
  what: 'journal-export' | 'log-reading',
  part: readonly string[],
): Promise<void> {
  await database.$executeRaw`SELECT note_taken_out(${what}, ${part.length === 0 ? 'whole' : part.join()})`;
}

function databaseUrl(given: string | undefined): string {
  try {
    return readAuditConfiguration(given === undefined ? process.env : { DATABASE_URL: given }).DATABASE_URL;
  } catch {
    throw new CommandRefusal('Say which database: DATABASE_URL, DATABASE_URL_FILE or --database, postgresql://….');
  }
}
