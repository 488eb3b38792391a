import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv, promisify } from 'node:util';
import { Client } from 'pg';
import { projectFile } from '../../config/project-root';
import { migrate } from '../../prisma/migrate';
import { initializePostgres, postgresPlan, postgresUrl } from '../../stack/postgres';
import { preparePostgresHome, removePostgres } from '../../stack/postgres-home';
import { DATABASE, KEY_STORE, KEY_STORE_LOGINS, LOGINS } from '../../stack/processes';
import { openStateFolder, removeState } from '../../stack/state-folder';
import { createSupervisor } from '../../stack/supervisor';
import { composeWith } from '../support/compose';
import { freePorts } from '../support/free-ports';

const run = promisify(execFile);
const MIGRATIONS = projectFile('prisma/migrations');
const KEY_STORE_MIGRATIONS = projectFile('prisma/key-store-migrations');

/** A server of its own, as empty as the one of docker compose at its first start: roles belong to a whole server. */
describe('the database of docker compose', () => {
  const password = randomBytes(16).toString('hex');
  const folder = openStateFolder({
    DOMOVOY_STATE_DIR: join(tmpdir(), `domovoy-logins-${randomBytes(6).toString('hex')}`),
  });
  /** The secrets' files, and a `psql` beside them. */
  const mounted = join(folder.path, 'mounted');
  const supervisor = createSupervisor(folder, () => undefined);
  let port = 0;

  beforeAll(async () => {
    [port = 0] = await freePorts(1);
    const home = preparePostgresHome(folder.postgres);
    await initializePostgres(home, password);
    await supervisor.start(postgresPlan(home, port, password, { durable: false, maxConnections: 20 }));
    mkdirSync(mounted);
    const { services } = composeWith(parseEnv(readFileSync(projectFile('deploy/example.env'), 'utf8')));
    // Each its own: a login with another one's password does not get in.
    const given = ['postgres', 'keys-db'].flatMap((name) => services[name]?.secrets ?? []);
    for (const name of given) writeFileSync(join(mounted, name), `of ${name}, 'quoted'\n`);
    for (const script of ['logins.sh', 'key-store-logins.sh']) await makeLogins(script);
  });
  afterAll(async () => {
    await supervisor.stop();
    removePostgres(folder.postgres);
    rmSync(mounted, { recursive: true, force: true });
    removeState(folder);
  });

  async function makeLogins(name: string): Promise<void> {
    const psql = `#!/bin/sh\nexec '${process.execPath}' '${projectFile('test/support/psql.cjs')}' "$@"\n`;
    writeFileSync(join(mounted, 'psql'), psql, { mode: 0o755 });
    const script = readFileSync(projectFile(join('deploy/postgres', name)), 'utf8').replaceAll('/run/secrets', mounted);
    const env = {
      PATH: `${mounted}:/usr/bin:/bin`,
      POSTGRES_USER: 'postgres',
      SERVER_URL: postgresUrl(port, password, 'postgres'),
    };
    await run('/bin/sh', ['-c', script], { env });
  }

  const urlOf = (login: string, part: string): string =>
    postgresUrl(port, `of ${part}_password, 'quoted'`, DATABASE, login);
  const ownerUrl = (): string => urlOf('domovoy_owner', 'database_owner');

  async function asked(url: string, sql: string): Promise<unknown[]> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  it('is migrated by an owner who is no superuser, and once', async () => {
    expect(await asked(ownerUrl(), 'SELECT rolsuper FROM pg_roles WHERE rolname = current_user')).toEqual([
      { rolsuper: false },
    ]);
    expect((await migrate(ownerUrl(), MIGRATIONS)).length).toBeGreaterThan(20);
    expect(await migrate(ownerUrl(), MIGRATIONS)).toEqual([]);
  });

  it.each(Object.entries(LOGINS))(
    'lets %s in with the password of its file, as what it is and nothing more',
    async (part, login) => {
      const name = part.replace('-', '_');
      const roles = `SELECT string_agg(r.rolname, ',') AS roles, bool_or(r.rolsuper OR r.rolbypassrls OR r.rolcreaterole) AS more
      FROM pg_roles r WHERE r.rolname ~ '^domovoy_' AND pg_has_role(current_user, r.oid, 'MEMBER') AND r.rolname <> current_user`;
      expect(await asked(urlOf(login, `${name}_database`), roles)).toEqual([{ roles: `domovoy_${name}`, more: false }]);
      await expect(asked(urlOf(login, 'database_owner'), 'SELECT 1')).rejects.toThrow('password authentication failed');
    },
  );

  it('does what needs the owner’s rights on behalf of who has them not', async () => {
    const core = urlOf(LOGINS.core, 'core_database');
    expect(await asked(core, `SELECT make_journal_month((now() + interval '5 months')::date) AS made`)).toEqual([
      { made: true },
    ]);
    await expect(asked(urlOf(LOGINS.communal, 'communal_database'), 'CREATE TABLE more (id int)')).rejects.toThrow(
      'permission denied',
    );
  });

  it('has a key store in which nobody is who they are in the database', async () => {
    const url = (login: string, part: string, database = KEY_STORE): string =>
      postgresUrl(port, `of keys_${part}_password, 'quoted'`, database, login);
    const asOwner = url('domovoy_keys_owner', 'owner');
    expect(await migrate(asOwner, KEY_STORE_MIGRATIONS)).toHaveLength(1);
    expect(await migrate(asOwner, KEY_STORE_MIGRATIONS)).toEqual([]);
    const count = 'SELECT count(*)::int AS count FROM subject_key_shares';
    for (const [part, login] of Object.entries(KEY_STORE_LOGINS)) {
      expect(await asked(url(login, part.replace('-', '_')), count)).toEqual([{ count: 0 }]);
      await expect(
        asked(url(login, part.replace('-', '_'), DATABASE), 'SELECT * FROM public.subject_keys'),
      ).rejects.toThrow('permission denied');
    }
    const core = postgresUrl(port, `of core_database_password, 'quoted'`, KEY_STORE, LOGINS.core);
    await expect(asked(core, 'SELECT * FROM public.subject_key_shares')).rejects.toThrow('permission denied');
  });

  it('has a database of their own for Temporal and the identity provider', async () => {
    const url = (login: string, part: string, database: string) =>
      postgresUrl(port, `of ${part}_password, 'quoted'`, database, login);
    for (const database of ['temporal', 'temporal_visibility']) {
      await asked(url('temporal', 'temporal_database', database), 'CREATE TABLE made (id int)');
    }
    await asked(url('keycloak', 'keycloak_database', 'keycloak'), 'CREATE TABLE made (id int)');
  });
});
