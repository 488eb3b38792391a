import { Client, escapeIdentifier, escapeLiteral } from 'pg';

export type Login = {
  readonly name: string;
  readonly password: string;
  readonly role: DatabaseRole | KeyStoreRole;
};
export type DatabaseRole =
  'domovoy_api' | 'domovoy_smart_home' | 'domovoy_communal' | 'domovoy_core' | 'domovoy_auditor';
export type KeyStoreRole =
  'domovoy_keys_api' | 'domovoy_keys_smart_home' | 'domovoy_keys_communal' | 'domovoy_keys_core';

/**
 * Creates the login roles that processes use, or gives existing ones the password named here. Each is a member of one
 * group role of the migrations and may do nothing else.
 *
 * @param url connection string of a role that may create roles
 */
export async function ensureLogins(url: string, logins: readonly Login[]): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    for (const { name, password, role } of logins) {
      const { rowCount } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name]);
      const verb = rowCount === 0 ? 'CREATE' : 'ALTER';
      await client.query(`${verb} ROLE ${escapeIdentifier(name)} LOGIN PASSWORD ${escapeLiteral(password)}`);
      await client.query(`GRANT ${escapeIdentifier(role)} TO ${escapeIdentifier(name)}`);
    }
  } finally {
    await client.end();
  }
}
