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

function databaseUrl(given: string | undefined): string {
  try {
    return readAuditConfiguration(given === undefined ? process.env : { DATABASE_URL: given }).DATABASE_URL;
  } catch {
    throw new CommandRefusal('Say which database: DATABASE_URL, DATABASE_URL_FILE or --database, postgresql://….');
  }
}
