import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type { DatabaseRole } from '../../prisma/logins';

/** Databases that suites' own are copies of: `empty` is migrated, `town` has the local stack's town in it. */
export const TEMPLATES = { empty: 'domovoy_template', town: 'domovoy_town' } as const;
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

/** A database of the suite's own. */
export async function createTestDatabase(template: keyof typeof TEMPLATES = 'empty'): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await copyDatabase(template, name);
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

export const copyDatabase = (template: keyof typeof TEMPLATES, name: string): Promise<void> =>
  administer(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATES[template]}`);

async function administer(sql: string): Promise<void> {
  const client = new Client({ connectionString: serverUrl('postgres') });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
