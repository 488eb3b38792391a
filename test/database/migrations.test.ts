import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { projectFile, projectRoot } from '../../config/project-root';
import { migrate } from '../../prisma/migrate';
import { schemaSql } from '../../prisma/schema-sql';
import { createTestDatabase, type TestDatabase } from '../support/database';

describe('migrations', () => {
  let db: TestDatabase;
  beforeEach(async () => {
    db = await createTestDatabase();
  });
  afterEach(() => db.drop());

  it('lead to the very tables, columns, keys and indexes that schema.prisma describes', async () => {
    const fresh = await createTestDatabase();
    const client = await connect(fresh.ownerUrl);
    await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
    await client.query(await schemaSql(projectRoot(), fresh.ownerUrl));
    const wanted = await shape(client);
    await client.end();
    await fresh.drop();

    const migrated = await connect(db.ownerUrl);
    const found = await shape(migrated);
    await migrated.end();
    expect(wanted.length).toBeGreaterThan(100);
    expect(wanted.filter((part) => !found.includes(part))).toEqual([]);
    // What Prisma's language cannot say, and tables that are no models.
    const beyond = found.filter((part) => !wanted.includes(part));
    const known =
      /journal_entries_(\d{4}_\d\d|rest)|rate_limits|request_slots|_prisma_migrations|(enrollments|plugin_sessions)_one_at_a_time|vehicles_one_of_a_plate|approvals CHECK|houses CHECK|visiting_hours CHECK|secrets( CHECK|_one_(in_use|prepared))|own_signing_keys( CHECK|_one_(signs|prepared))|partner_credentials( CHECK|_one_(in_use|announced|overlaps))/;
    expect(beyond.filter((part) => !known.test(part))).toEqual([]);
  });

  it('are applied once, also when three processes start together', async () => {
    const folder = withMigration('20990101000000_more', 'CREATE TABLE more (id int);');
    const applied = await Promise.all([1, 2, 3].map(() => migrate(db.ownerUrl, folder)));
    expect(applied.flat()).toEqual(['20990101000000_more']);
  });

  it('leave nothing behind when one fails, and say which', async () => {
    const folder = withMigration('20990101000000_bad', 'CREATE TABLE half (id int); SELECT nonsense;');
    await expect(migrate(db.ownerUrl, folder)).rejects.toThrow('20990101000000_bad failed and left nothing behind');
    const client = await connect(db.ownerUrl);
    const { rows } = await client.query("SELECT to_regclass('half') AS half");
    await client.end();
    expect(rows).toEqual([{ half: null }]);
  });

  it('are refused when an applied file was changed', async () => {
    const folder = withMigration('20990101000000_more', 'CREATE TABLE more (id int);');
    await migrate(db.ownerUrl, folder);
    writeFileSync(join(folder, '20990101000000_more/migration.sql'), 'CREATE TABLE other (id int);');
    await expect(migrate(db.ownerUrl, folder)).rejects.toThrow('was changed after it had been applied');
  });
});

function withMigration(name: string, sql: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-migrations-'));
  cpSync(projectFile('prisma/migrations'), folder, { recursive: true });
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, 'migration.sql'), sql);
  return folder;
}

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  return client;
}

/** Columns, constraints and indexes of a database as lines that can be compared. */
async function shape(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ part: string }>(`
    SELECT concat_ws(' ', 'column', table_name, column_name, udt_name, datetime_precision, is_nullable, column_default) AS part
      FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'`);
  // An index of a table in partitions is written as if it were of the table alone.
  return rows.map(({ part }) => part.replace(' ON ONLY ', ' ON '));
}
