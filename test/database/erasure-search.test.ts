import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { createTestDatabase, type TestDatabase } from '../support/database';

/** How an identifier may stand in a column of each type that can hold one, `%` for the identifier. */
const PLANTED: Readonly<Record<string, string>> = {
  text: `'a ' || upper('%') || ' z'`,
  'character varying': `upper('%')`,
  uuid: `'%'`,
  json: `'{"a":["%"]}'`,
  jsonb: `'{"a":["%"]}'`,
  bytea: `convert_to('%', 'UTF8')`,
  'text[]': `ARRAY['a', '%']`,
  'uuid[]': `ARRAY['%'::uuid]`,
};
/** Types in which no identifier can stand. */
const HOLD_NONE = /^(boolean|smallint|integer(\[\])?|bigint|double precision|date|timestamp with time zone)$/;

type Column = { readonly name: string; readonly type: string; readonly made: boolean };

/** Driven by the tables that there are, so that one that is added is searched or fails here. */
describe('the search for identifiers of an erased person', () => {
  let db: TestDatabase;
  let owner: Client;
  let core: Client;
  const tables = new Map<string, Column[]>();
  beforeAll(async () => {
    db = await createTestDatabase('town');
    [owner, core] = [new Client(db.ownerUrl), new Client(db.urlFor('domovoy_core'))];
    await Promise.all([owner.connect(), core.connect()]);
    const { rows } = await owner.query<Column & { table: string }>(`
      SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type,
               a.attidentity <> '' OR a.attgenerated <> '' AS made
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
       WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
         AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1, 2`);
    for (const { table, ...column } of rows) tables.set(table, [...(tables.get(table) ?? []), column]);
  });
  afterAll(async () => {
    await Promise.all([owner.end(), core.end()]);
    await db.drop();
  });

  const placesOf = async (by: Client, needle: string): Promise<string[]> => {
    const search = 'SELECT place FROM find_identifiers($1::text[]) WHERE hits > 0';
    return (await by.query<{ place: string }>(search, [[needle]])).rows.map(({ place }) => place);
  };

  it('knows every type of column that there is', () => {
    const types = new Set([...tables.values()].flat().map(({ type }) => type));
    expect(tables.size).toBeGreaterThan(50);
    expect([...types].filter((type) => !Object.hasOwn(PLANTED, type) && !HOLD_NONE.test(type))).toEqual([]);
  });

  it('finds one in every column of every table that can hold it, and names the place', async () => {
    for (const [table, columns] of tables) {
      const needle = randomUUID();
      const able = columns.filter(({ type, made }) => !made && Object.hasOwn(PLANTED, type));
      if (able.length === 0) continue;
      await owner.query('BEGIN');
      await bare(table, columns);
      const values = able.map(({ type }) => (PLANTED[type] ?? '').replaceAll('%', needle));
      const names = able.map(({ name }) => `"${name}"`).join();
      await owner.query(`INSERT INTO "${table}" (${names}) VALUES (${values.join()})`);
      const wanted = able.map(({ name }) => `${table}.${name}`);
      expect((await placesOf(owner, needle)).filter((place) => place.startsWith(`${table}.`))).toEqual(
        wanted.toSorted((a, b) => (a < b ? -1 : 1)),
      );
      await owner.query('ROLLBACK');
    }
  });

  it('is made with the rights of its process, finds what stands there, and nothing where nothing does', async () => {
    const [needle, other] = [randomUUID(), randomUUID()];
    await owner.query(
      `INSERT INTO partner_events (partner_id, event_id, integration, kind, happened_at, subject)
       VALUES ('kluch', $1, 'smart-home', 'key-openings', now(), $2)`,
      [randomUUID(), `key of ${needle.toUpperCase()}`],
    );
    expect(await placesOf(core, needle)).toEqual(['partner_events.subject']);
    expect(await placesOf(core, other)).toEqual([]);
  });

  /** Until the transaction ends: the table takes a row of which nothing is said but where an identifier is planted. */
  async function bare(table: string, columns: readonly Column[]): Promise<void> {
    await owner.query('SET LOCAL session_replication_role = replica');
    const { rows } = await owner.query<{ name: string }>(
      `SELECT conname AS name FROM pg_constraint
        WHERE conrelid = $1::regclass AND contype IN ('p', 'c', 'u')`,
      [`"${table}"`],
    );
    for (const { name } of rows) await owner.query(`ALTER TABLE "${table}" DROP CONSTRAINT "${name}" CASCADE`);
    for (const { name, made } of columns) {
      if (made) continue;
      await owner.query(`ALTER TABLE "${table}" ALTER COLUMN "${name}" DROP NOT NULL`);
    }
  }
});
