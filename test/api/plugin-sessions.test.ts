import { randomUUID } from 'node:crypto';
import { createHousekeepingActivities } from '../../activities/housekeeping';
import { processesOf } from '../../workers/core';
import { PLUGIN_TOKEN_GUESSES } from '../../contracts/plugin-sessions';
import { openDatabase } from '../../prisma/database';
import { RESIDENTS } from '../../stack/town';
import { noLedger } from '../support/core';
import { createHarness, type Harness } from '../support/harness';

const anna = RESIDENTS.anna.id;
const boris = RESIDENTS.boris.id;

describe('a plugin session', () => {
  let h: Harness;
  beforeAll(async () => {
    h = await createHarness();
  }, 120_000);
  afterAll(() => h.close());
  beforeEach(async () => {
    await h.owner.pluginSession.deleteMany();
    await h.owner.$executeRaw`DELETE FROM rate_limits`;
    await h.owner.resident.update({ where: { id: anna }, data: { status: 'active' } });
  });

  async function start(partnerId = 'kluch', residentId = anna, key: string = randomUUID()) {
    const { status, body } = await h.app.post('/app/v1/plugin-sessions', { residentId, partnerId }, key);
    expect(status).toBe(201);
    return { token: String(body['token']), clientId: String(body['clientId']), expiresAt: String(body['expiresAt']) };
  }

  /** The partner asks in its own way: signed Basic, OAuth token, or mutual TLS. */
  async function ask(partnerId: string, check: object): Promise<{ status: number; body: Record<string, unknown> }> {
    const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/company-calls`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ path: '/partner/v1/plugin-tokens/verifications', body: check }),
    });
    return (await answer.json()) as { status: number; body: Record<string, unknown> };
  }
  const verdict = async (partnerId: string, check: object): Promise<unknown> => {
    const { status, body } = await ask(partnerId, check);
    expect(status).toBe(200);
    return body;
  };

  it.each(['kluch', 'vizor', 'shlagbaum'])(
    'is recognized by %s with its token and client id, and by no other',
    async (id) => {
      const { token, clientId } = await start(id);
      expect(await verdict(id, { token, clientId })).toEqual({ valid: true });
      for (const other of ['kluch', 'vizor', 'shlagbaum'].filter((partner) => partner !== id)) {
        expect(await verdict(other, { token, clientId })).toEqual({ valid: false });
      }
    },
  );

  it('is not valid with the client id of another resident', async () => {
    const [own, others] = [await start('kluch', anna), await start('kluch', boris)];
    expect(await verdict('kluch', { token: own.token, clientId: others.clientId })).toEqual({ valid: false });
    expect(await verdict('kluch', { token: others.token, clientId: own.clientId })).toEqual({ valid: false });
    expect(await verdict('kluch', { token: 'x', clientId: own.clientId })).toEqual({ valid: false });
  });

  it('gives the same client id each time, another at every partner, and none is the resident’s own', async () => {
    const ids = [(await start('kluch')).clientId, (await start('vizor')).clientId, (await start('shlagbaum')).clientId];
    expect(new Set([...ids, anna]).size).toBe(4);
    expect((await start('kluch')).clientId).toBe(ids[0]);
  });

  it('lives at most 24 hours and is ended by the next one, also by a repeat', async () => {
    const key = randomUUID();
    const first = await start('kluch', anna, key);
    expect(Date.parse(first.expiresAt) - Date.now()).toBeLessThanOrEqual(24 * 3_600_000);
    const second = await start('kluch', anna, key);
    expect(second.token).not.toBe(first.token);
    expect(await verdict('kluch', { token: first.token, clientId: first.clientId })).toEqual({ valid: false });
    expect(await verdict('kluch', { token: second.token, clientId: second.clientId })).toEqual({ valid: true });
    await h.owner.pluginSession.updateMany({ data: { expiresAt: new Date(Date.now() - 1) } });
    expect(await verdict('kluch', { token: second.token, clientId: second.clientId })).toEqual({ valid: false });
  });

  it('is one, however many are started at the same instant', async () => {
    await Promise.all(Array.from({ length: 6 }, () => start().catch(() => null)));
    expect(await h.owner.pluginSession.count({ where: { endedAt: null } })).toBe(1);
  });

  it('ends with the resident’s standing, and none is started without it', async () => {
    const { token, clientId } = await start();
    await h.owner.resident.update({ where: { id: anna }, data: { status: 'blocked' } });
    expect(await verdict('kluch', { token, clientId })).toEqual({ valid: false });
    const refused = await h.app.post('/app/v1/plugin-sessions', { residentId: anna, partnerId: 'kluch' });
    expect(refused.status).toBe(404);
  });

  it('leaves its token nowhere: not in a row, not in a log', async () => {
    const { token, clientId } = await start();
    await verdict('kluch', { token, clientId });
    const rows = await h.owner.$queryRaw<{ row: string }[]>`
      SELECT t::text AS row FROM plugin_sessions t UNION ALL SELECT t::text FROM idempotency_records t
      UNION ALL SELECT t::text FROM journal_entries t`;
    expect(rows.length).toBeGreaterThan(2);
    for (const { row } of rows) expect(row).not.toContain(token);
    expect(h.logLines.join('\n')).not.toContain(token);
  });

  it('is in the journal, as is every check of it', async () => {
    const { token, clientId } = await start();
    await verdict('kluch', { token, clientId });
    const { id } = await h.owner.pluginSession.findFirstOrThrow({ where: { endedAt: null } });
    const entries = await h.owner.journalEntry.findMany({ where: { objectId: id }, orderBy: { seq: 'asc' } });
    expect(entries.map(({ kind, outcome, actor }) => [kind, outcome, actor])).toEqual([
      ['plugin-session', 'started', 'tenant-smart-home-app'],
      ['plugin-token-check', 'valid', 'kluch'],
    ]);
  });

  it('cannot be guessed: after some refusals a client id is not looked at, with the right token neither', async () => {
    const { token, clientId } = await start();
    for (let attempt = 0; attempt < PLUGIN_TOKEN_GUESSES.forClientId; attempt++) {
      expect(await verdict('kluch', { token: `guess-${attempt.toString()}`, clientId })).toEqual({ valid: false });
    }
    const blocked = await ask('kluch', { token, clientId });
    expect(blocked.status).toBe(429);
    expect(blocked.body['type']).toBe('/problems/too-many-requests');
    const other = await start('kluch', boris);
    expect(await verdict('kluch', { token: other.token, clientId: other.clientId })).toEqual({ valid: true });
  });

  it('is asked for and checked with what the contract says, or refused by field', async () => {
    const missing = await ask('kluch', { token: 'x' });
    expect([missing.status, missing.body['errors']]).toMatchObject([400, [{ field: 'clientId' }]]);
    const nobody = await h.app.post('/app/v1/plugin-sessions', { residentId: randomUUID(), partnerId: 'kluch' });
    expect([nobody.status, nobody.body['errors']]).toMatchObject([404, [{ field: 'residentId' }]]);
    const unknown = await h.app.post('/app/v1/plugin-sessions', { residentId: anna, partnerId: 'none' });
    expect([unknown.status, unknown.body['errors']]).toMatchObject([404, [{ field: 'partnerId' }]]);
    expect(await h.owner.pluginSession.count()).toBe(0);
  });

  it('is removed by housekeeping once it is over, and not before', async () => {
    await start('kluch');
    const last = await start('kluch');
    const expired = await start('vizor');
    await h.owner.pluginSession.updateMany({ where: { partnerId: 'vizor' }, data: { expiresAt: new Date(0) } });
    const database = openDatabase(h.db.urlFor('domovoy_core'), 1);
    const deps = { database, subjects: h.subjects, ...noLedger, ...processesOf(h.temporal.client) };
    await createHousekeepingActivities(deps).removeExpired();
    await database.$disconnect();
    expect(await h.owner.pluginSession.count()).toBe(1);
    expect(await verdict('kluch', { token: last.token, clientId: last.clientId })).toEqual({ valid: true });
    expect(await verdict('vizor', { token: expired.token, clientId: expired.clientId })).toEqual({ valid: false });
  });
});
