import { Client } from 'pg';
import { createTestDatabase, TEMPLATES, TEST_LOGINS, type TestDatabase } from '../support/database';

/** Every table with rows of an integration. A new one that is forgotten here is found by the first test. */
const TABLES = [
  'access_points',
  'biometric_deletions',
  'consents',
  'credential_handovers',
  'enrollments',
  'erasure_holders',
  'escalations',
  'face_index_versions',
  'face_templates',
  'house_partners',
  'identity_tokens',
  'journal_entries',
  'openings',
  'partner_credentials',
  'partner_events',
  'partner_subjects',
  'partners',
  'plate_holdings',
  'plugin_sessions',
  'reminders',
  'secret_sightings',
  'secrets',
  'security_alerts',
  'staged_photos',
  'vehicle_partners',
  'visiting_hours',
];

/** What no worker reads at all. */
const NOT_FOR_WORKERS = ['identity_tokens', 'journal_entries', 'plugin_sessions'];

const ID = '00000000-0000-4000-8000-000000000001';

describe('integrations are apart in the database', () => {
  let db: TestDatabase;
  let owner: Client;
  let communal: Client;

  beforeAll(async () => {
    db = await createTestDatabase();
    owner = await connect(db.ownerUrl);
    communal = await connect(db.urlFor('domovoy_communal'));
    await owner.query(SMART_HOME_ROWS);
  });
  afterAll(async () => {
    await owner.end();
    await communal.end();
    await db.drop();
  });

  it('guards every table that has an integration column', async () => {
    const { rows } = await owner.query<{ table_name: string; guarded: boolean }>(
      `SELECT c.table_name, t.relrowsecurity AS guarded FROM information_schema.columns c
       JOIN pg_class t ON t.relname = c.table_name AND t.relkind IN ('r', 'p') AND NOT t.relispartition
       WHERE c.column_name = 'integration' AND c.table_schema = 'public' AND c.table_name <> 'oauth_clients'
       ORDER BY 1`,
    );
    expect(rows).toEqual(TABLES.map((table_name) => ({ table_name, guarded: true })));
  });

  it('lets no function act as the owner on tables that its caller made', async () => {
    const { rows } = await owner.query<{ name: string; config: string[] | null }>(
      `SELECT oid::regprocedure::text AS name, proconfig AS config FROM pg_proc
       WHERE prosecdef AND pronamespace = 'public'::regnamespace`,
    );
    expect(rows.map(({ name }) => name)).toContain('take_credential(uuid,text)');
    const safe = 'search_path=public, pg_temp';
    expect(rows.filter(({ config }) => !config?.includes(safe))).toEqual([]);
  });

  it.each(TEST_LOGINS)('$role may make no temporary table', async ({ name }) => {
    // A copy of the template does not have its rights.
    const asked = 'SELECT has_database_privilege($1, $2, $3) AS may';
    expect((await owner.query(asked, [name, TEMPLATES.empty, 'CONNECT'])).rows).toEqual([{ may: true }]);
    expect((await owner.query(asked, [name, TEMPLATES.empty, 'TEMPORARY'])).rows).toEqual([{ may: false }]);
  });

  it.each(TABLES)('the communal role sees no smart-home row of %s', async (table) => {
    const { rows: all } = await owner.query(`SELECT 1 FROM ${table}`);
    expect(all.length).toBeGreaterThan(0);
    if (NOT_FOR_WORKERS.includes(table)) {
      await expect(communal.query(`SELECT 1 FROM ${table}`)).rejects.toMatchObject({ code: '42501' });
      return;
    }
    const { rows } = await communal.query(`SELECT 1 FROM ${table}`);
    expect(rows).toEqual([]);
  });

  it.each(TABLES)('the communal role changes and deletes no smart-home row of %s', async (table) => {
    for (const statement of [`UPDATE ${table} SET integration = 'communal'`, `DELETE FROM ${table}`]) {
      const changed = await communal.query(statement).then(
        ({ rowCount }) => rowCount,
        (error: unknown) => (error as { code: string }).code,
      );
      expect([0, '42501']).toContain(changed);
    }
    const { rows } = await owner.query<{ integration: string }>(`SELECT integration FROM ${table}`);
    expect(new Set(rows.map(({ integration }) => integration))).toEqual(new Set(['smart-home']));
  });

  it('the communal role cannot write a row in the name of smart-home', async () => {
    const insert = `INSERT INTO journal_entries (integration, kind) VALUES ('smart-home', 'opening')`;
    await expect(communal.query(insert)).rejects.toMatchObject({ code: '42501' });
  });

  it.each([
    'resident_profiles',
    'oauth_clients',
    'oidc_payloads',
    'idempotency_records',
    'staff_members',
    'staff_sessions',
    'approvals',
    'data_set_agreements',
    'alert_deliveries',
    'client_suspensions',
    'monitoring_state',
    'erasures',
    'erasure_certificates',
    'property_sales',
    'sealed_files',
    'attestation_letters',
    'access_reviews',
    'access_review_items',
    'identity_events',
    'security_audits',
    'log_export_demands',
    'log_export_parts',
  ])('no worker reads %s', async (table) => {
    await expect(communal.query(`SELECT 1 FROM ${table}`)).rejects.toMatchObject({ code: '42501' });
  });

  it('a worker sees a vehicle only when a partner of its own integration hears of it', async () => {
    const smartHome = await connect(db.urlFor('domovoy_smart_home'));
    expect((await smartHome.query('SELECT id FROM vehicles')).rows).toEqual([{ id: ID }]);
    expect((await communal.query('SELECT id FROM vehicles')).rows).toEqual([]);
    await expect(smartHome.query(`UPDATE vehicles SET status = 'active'`)).rejects.toMatchObject({ code: '42501' });
    await smartHome.end();
  });

  it('hours lie in the integration of their access point, where the worker that decides there sees them', async () => {
    const smartHome = await connect(db.urlFor('domovoy_smart_home'));
    expect((await smartHome.query('SELECT id FROM visiting_hours')).rows).toEqual([{ id: ID }]);
    await smartHome.end();
    const elsewhere = `UPDATE visiting_hours SET integration = 'communal'`;
    await expect(owner.query(elsewhere)).rejects.toMatchObject({ code: '23503' });
  });

  it('the API does not read the secrets that workers present to partners', async () => {
    const api = await connect(db.urlFor('domovoy_api'));
    await expect(api.query('SELECT 1 FROM secrets')).rejects.toMatchObject({ code: '42501' });
    await api.end();
  });

  it('the API is given a secret by an offer only, once and while it lasts; no worker uses that door', async () => {
    const [api, smartHome] = [await connect(db.urlFor('domovoy_api')), await connect(db.urlFor('domovoy_smart_home'))];
    const offer = `INSERT INTO credential_handovers (id, integration, partner_id, direction, name, owner, secret_name, version,
      expires_at) VALUES ($1, 'smart-home', 'p', 'issued', 'p', 'p', 'carried', 1, now() + $2::interval)`;
    const [lasting, over] = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'];
    await owner.query(`INSERT INTO secrets (owner, name, version, integration, state, wrapped, key_id)
      VALUES ('p', 'carried', 1, 'smart-home', 'pending', 'w', 'k')`);
    await smartHome.query(offer, [lasting, '1 day']);
    await smartHome.query(offer, [over, '-1 second']);
    await expect(communal.query(offer, [ID, '1 day'])).rejects.toMatchObject({ code: '42501' });
    const take = 'SELECT owner, name, version FROM take_credential($1, $2)';
    for (const worker of [smartHome, communal]) {
      await expect(worker.query(take, [lasting, 'm'])).rejects.toMatchObject({ code: '42501' });
    }
    expect((await api.query(take, [over, 'm'])).rows).toEqual([]);
    expect((await api.query(take, [lasting, 'm'])).rows).toEqual([{ owner: 'p', name: 'carried', version: 1 }]);
    expect((await api.query(take, [lasting, 'm'])).rows).toEqual([]);
    await expect(api.query('UPDATE credential_handovers SET taken_at = NULL')).rejects.toMatchObject({ code: '42501' });
    await Promise.all([api.end(), smartHome.end()]);
  });

  it('the API stops the use of a template and never begins it', async () => {
    const api = await connect(db.urlFor('domovoy_api'));
    expect((await api.query('UPDATE face_templates SET active = false')).rowCount).toBe(1);
    await expect(api.query('UPDATE face_templates SET active = true')).rejects.toMatchObject({ code: '42501' });
    await api.end();
  });

  it('a worker changes the secrets of clients of its own integration only, and by the doors for that', async () => {
    await owner.query(`INSERT INTO oauth_clients (id, audience, partner_id, integration, auth_method, secret_hashes, scopes)
      VALUES ('p', 'partner', 'p', 'smart-home', 'basic_signed', '{old}', '{}')`);
    const smartHome = await connect(db.urlFor('domovoy_smart_home'));
    const hashes = async () =>
      (await owner.query<{ secret_hashes: string[] }>(`SELECT secret_hashes FROM oauth_clients WHERE id = 'p'`)).rows;
    await communal.query(`SELECT accept_client_secret('p', 'new'), accept_only_client_secret('p', 'old')`);
    expect((await communal.query('SELECT * FROM clients_with_secrets()')).rows).toEqual([]);
    expect(await hashes()).toEqual([{ secret_hashes: ['old'] }]);

    await smartHome.query(`SELECT accept_only_client_secret('p', 'unknown')`);
    expect(await hashes()).toEqual([{ secret_hashes: ['old'] }]);
    await smartHome.query(`SELECT accept_client_secret('p', 'new')`);
    expect(await hashes()).toEqual([{ secret_hashes: ['old', 'new'] }]);
    await smartHome.query(`SELECT accept_only_client_secret('p', 'new')`);
    expect(await hashes()).toEqual([{ secret_hashes: ['new'] }]);
    const api = await connect(db.urlFor('domovoy_api'));
    await expect(api.query(`SELECT accept_client_secret('p', 'x')`)).rejects.toMatchObject({ code: '42501' });
    await Promise.all([smartHome.end(), api.end()]);
  });

  it('nobody changes the journal, not even the owner of the table', async () => {
    await expect(owner.query(`UPDATE journal_entries SET kind = 'x'`)).rejects.toThrow(/append-only/);
    await expect(owner.query('DELETE FROM journal_entries')).rejects.toThrow(/append-only/);
    await expect(owner.query('TRUNCATE journal_entries')).rejects.toThrow(/append-only/);
  });
});

async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  return client;
}

const SMART_HOME_ROWS = `
  INSERT INTO partners (id, integration, display_name, custody, profile) VALUES ('p', 'smart-home', 'P', 'company', '{}');
  INSERT INTO houses (id) VALUES ('${ID}');
  INSERT INTO house_partners VALUES ('${ID}', 'p', 'smart-home', 'h');
  INSERT INTO access_points (id, house_id, partner_id, integration, device_id, kind, service)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', 'd', 'door', 's');
  INSERT INTO visiting_hours (id, access_point_id, integration, days, from_minute, to_minute, set_by)
    VALUES ('${ID}', '${ID}', 'smart-home', '{1}', 0, 0, 's');
  INSERT INTO residents (id) VALUES ('${ID}');
  INSERT INTO partner_subjects (resident_id, partner_id, integration, token) VALUES ('${ID}', 'p', 'smart-home', '${ID}');
  INSERT INTO consent_forms (id, version, text_ru, text_en, sha256, valid_for_days) VALUES ('f', 1, '', '', '', 1);
  INSERT INTO consents (id, resident_id, partner_id, integration, form_id, form_sha256, status, expires_at)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', 'f', '', 'granted', now());
  INSERT INTO biometric_deletions (id, resident_id, partner_id, integration, reason)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', 'withdrawal');
  INSERT INTO escalations (id, integration, process, object_id, reason, level, raised_at)
    VALUES ('${ID}', 'smart-home', 'p', 'o', 'r', 1, now());
  INSERT INTO reminders (id, resident_id, consent_id, integration, days_before, expires_at)
    VALUES ('${ID}', '${ID}', '${ID}', 'smart-home', 1, now());
  INSERT INTO enrollments (id, resident_id, partner_id, integration, consent_id, house_id, state)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', '${ID}', '${ID}', 'requested');
  INSERT INTO staged_photos (enrollment_id, integration, sealed, wrapped_key, key_id)
    VALUES ('${ID}', 'smart-home', '', '', 'k');
  INSERT INTO face_templates (id, resident_id, partner_id, integration, enrollment_id, house_id, sealed, model_version)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', '${ID}', '${ID}', '', 'm');
  INSERT INTO openings (id, client_id, request_sha256, access_point_id, partner_id, integration, method, status,
    requested_at, not_after) VALUES ('${ID}', 'c', '', '${ID}', 'p', 'smart-home', 'app', 'pending', now(), now());
  INSERT INTO vehicles (id, resident_id, plate_index, sealed, kind) VALUES ('${ID}', '${ID}', '', '', 'passenger');
  INSERT INTO vehicles (id, resident_id, plate_index, sealed, kind)
    VALUES ('00000000-0000-4000-8000-000000000002', '${ID}', 'x', '', 'passenger');
  INSERT INTO vehicle_partners (vehicle_id, partner_id, integration) VALUES ('${ID}', 'p', 'smart-home');
  INSERT INTO plate_holdings (id, partner_id, house_id, integration, plate_index, state)
    VALUES ('${ID}', 'p', '${ID}', 'smart-home', '', 'allowed');
  INSERT INTO secrets (owner, name, version, integration, wrapped, key_id) VALUES ('p', 'n', 1, 'smart-home', '', 'k');
  INSERT INTO identity_tokens (id, client_id, partner_id, integration, access_point_id, resident_id, method, expires_at)
    VALUES ('t', 'c', 'p', 'smart-home', '${ID}', '${ID}', 'face', now());
  INSERT INTO plugin_sessions (id, resident_id, partner_id, integration, token_sha256, expires_at)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', '', now());
  INSERT INTO security_alerts (id, integration, kind, scope, object_id, until)
    VALUES ('${ID}', 'smart-home', 'k', 's', 'o', now());
  INSERT INTO erasures (id, resident_id, basis, actor, due_at) VALUES ('${ID}', '${ID}', 'stop-processing', 'a', now());
  INSERT INTO erasure_holders (id, erasure_id, partner_id, integration, kind)
    VALUES ('${ID}', '${ID}', 'p', 'smart-home', 'face');
  INSERT INTO secret_sightings (client_id, secret_hash, integration) VALUES ('p', 's', 'smart-home');
  INSERT INTO credential_handovers (id, integration, partner_id, direction, name, owner, secret_name, version, expires_at)
    VALUES ('${ID}', 'smart-home', 'p', 'presented', 'n', 'p', 'n', 1, now());
  INSERT INTO partner_credentials (partner_id, name, version, integration, key_id, public_pem, state, announced_by)
    VALUES ('p', 'message-key', 1, 'smart-home', 'k', '', 'active', 'c');
  INSERT INTO partner_events (partner_id, event_id, integration, kind, happened_at) VALUES ('p', 'e', 'smart-home', 'k', now());
  INSERT INTO journal_entries (integration, kind) VALUES ('smart-home', 'opening');
`;
