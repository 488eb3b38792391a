import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type { DatabaseRole } from '../../prisma/logins';

export const TEMPLATE = 'domovoy_template';
export const TEST_PASSWORD = 'only-for-tests';
export const TEST_LOGINS = (
  ['domovoy_api', 'domovoy_smart_home', 'domovoy_communal', 'domovoy_core', 'domovoy_auditor'] as const
).map((role) => ({ name: `test_${role}`, password: TEST_PASSWORD, role }));

/** The superuser's connection string of the server that global-setup.ts started for this run. */
export function serverUrl(database: string): string {
  const base = process.env['DOMOVOY_TEST_POSTGRES'];
  if (base === undefined) throw new Error('No test database server: run through jest.config.cjs.');
  const url = new URL(base);
  url.pathname = `/${database}`;
  return url.toString();
}

export type TestDatabase = {
  readonly ownerUrl: string;
  /** A connection string as a process of that role would have it: no owner, no superuser, row-level security on. */
  urlFor(role: DatabaseRole): string;
  drop(): Promise<void>;
};

/** A database of the suite's own, migrated, empty. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  return {
    ownerUrl: serverUrl(name),
    urlFor(role) {
      const url = new URL(serverUrl(name));
      url.username = `test_${role}`;
      url.password = TEST_PASSWORD;
      return url.toString();
    },
    drop: () => administer(`DROP DATABASE ${name} WITH (FORCE)`),
  };
}

async function administer(sql: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl('postgres') });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
