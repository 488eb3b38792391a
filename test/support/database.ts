import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import type { DatabaseRole, KeyStoreRole } from '../../prisma/logins';

/** Databases that suites' own are copies of: `empty` is migrated, `town` has the local stack's town in it. */
export const TEMPLATES = { empty: 'domovoy_template', town: 'domovoy_town' } as const;
/** The key stores that go with them. */
export const KEY_STORE_TEMPLATES = { empty: 'domovoy_keys_template', town: 'domovoy_keys_town' } as const;
export const TEST_PASSWORD = 'only-for-tests';
const ROLES = ['domovoy_api', 'domovoy_smart_home', 'domovoy_communal', 'domovoy_core', 'domovoy_auditor'] as const;
const KEY_STORE_ROLES = [
  'domovoy_keys_api',
  'domovoy_keys_smart_home',
  'domovoy_keys_communal',
  'domovoy_keys_core',
] as const;
export const TEST_LOGINS = [...ROLES, ...KEY_STORE_ROLES].map((role) => ({
  name: `test_${role}`,
  password: TEST_PASSWORD,
  role,
}));

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
  /** Of the key store that goes with it. */
  readonly keyStoreOwnerUrl: string;
  keyStoreUrlFor(role: KeyStoreRole): string;
  drop(): Promise<void>;
};

/** A database of the suite's own, and a key store. */
export async function createTestDatabase(template: keyof typeof TEMPLATES = 'empty'): Promise<TestDatabase> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const keyStore = `${name}_keys`;
  await copyDatabase(TEMPLATES[template], name);
  await copyDatabase(KEY_STORE_TEMPLATES[template], keyStore);
  return {
    ownerUrl: serverUrl(name),
    urlFor: (role) => urlAs(role, name),
    keyStoreOwnerUrl: serverUrl(keyStore),
    keyStoreUrlFor: (role) => urlAs(role, keyStore),
    drop: () => administer(...[name, keyStore].map((each) => `DROP DATABASE IF EXISTS ${each} WITH (FORCE)`)),
  };
}

function urlAs(role: DatabaseRole | KeyStoreRole, database: string): string {
  const url = new URL(serverUrl(database));
  url.username = `test_${role}`;
  url.password = TEST_PASSWORD;
  return url.toString();
}

/** @param from nobody may be connected to it */
export const copyDatabase = (from: string, to: string): Promise<void> =>
  administer(`CREATE DATABASE ${to} TEMPLATE ${from}`);

export async function administer(...statements: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: serverUrl('postgres') });
  await client.connect();
  try {
    for (const sql of statements) await client.query(sql);
  } finally {
    await client.end();
  }
}
