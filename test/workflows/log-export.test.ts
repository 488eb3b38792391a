import { generateKeyPairSync } from 'node:crypto';
import { LOG_EXPORT_TYPE } from '../../contracts/log-exports';
import type { TownPartner } from '../../stack/town';
import { documentSigner, signDocument, verifyDocument } from '../../vault/document-signature';
import { startCore, type CoreWorker } from '../support/core';
import { createHarness, type Harness } from '../support/harness';
import { anna, partnerOf } from '../support/resident';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

const PARTNERS = ['kluch', 'vizor', 'shlagbaum'] as const;
type Comparison = { ours: number; matched: number; missing: string[]; withheld: string[]; unknown: string[] };

describe('a demand for a partner’s logs', () => {
  let h: Harness;
  let core: CoreWorker;
  let security: StaffCaller;
  let compliance: StaffCaller;
  beforeAll(async () => {
    h = await createHarness();
    core = await startCore(h);
    security = await staffMember(h, ['information-security']);
    compliance = await staffMember(h, ['compliance']);
  }, 120_000);
  afterAll(async () => {
    await core.stop();
    await h.close();
  });

  const base = (partnerId: string) => `/staff/v1/partners/${partnerId}/log-exports`;
  async function open(partner: TownPartner): Promise<string> {
    const { status, body } = await h.app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId: anna });
    expect(status).toBe(200);
    return `open/${String(body['openingId'])}`;
  }
  async function propose(partnerId: string, change: object = {}) {
    const [from, to] = [new Date(Date.now() - 3_600_000), new Date()].map((at) => at.toISOString());
    const body = { reason: 'unauthorized-opening', from, to, dueDays: 5, ...change };
    return security.call('post', base(partnerId), { body });
  }
  async function demand(partnerId: string): Promise<string> {
    const id = String((await propose(partnerId)).body['demandId']);
    expect((await compliance.call('post', `${base(partnerId)}/${id}/approval`)).status).toBe(200);
    return id;
  }
  const deliver = async (partnerId: string, how: object = {}) => {
    const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/log-exports`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(how),
    });
    return ((await answer.json()) as { delivered: { statuses: number[] }[] }).delivered.flatMap(
      ({ statuses }) => statuses,
    );
  };
  const look = async (partnerId: string, id: string) => {
    const { body } = await security.call('get', base(partnerId));
    return (body['logExports'] as Record<string, unknown>[]).find(({ demandId }) => demandId === id) ?? {};
  };
  const due = async (partnerId: string) =>
    (await h.sandbox.readCompany(partnerId, '/partner/v1/obligations')).body['logExports'] as { demandId: string }[];

  it('takes two people, and until then the partner hears nothing of it', async () => {
    const id = String((await propose('vizor')).body['demandId']);
    const own = await security.call('post', `${base('vizor')}/${id}/approval`);
    expect(own).toMatchObject({ status: 403, body: { type: '/problems/own-proposal' } });
    expect(await due('vizor')).toEqual([]);
    expect((await compliance.call('post', `${base('vizor')}/${id}/approval`)).status).toBe(200);
    expect((await due('vizor')).map(({ demandId }) => demandId)).toEqual([id]);
    expect(await deliver('vizor')).toEqual([200]);
    for (const change of [{ to: new Date(Date.now() + 60_000).toISOString() }, { from: '2020-01-01T00:00:00Z' }]) {
      expect((await propose('vizor', change)).status).toBe(400);
    }
    const strangers = [await staffMember(h, ['auditor']), await staffMember(h, ['operations'])];
    for (const who of strangers) expect((await who.call('post', `${base('vizor')}/${id}/approval`)).status).toBe(403);
  });

  it.each(PARTNERS)(
    'is met by %s with a signed log that has all of our orders, with a chain of custody',
    async (name) => {
      const keys = [await open(partnerOf(name)), await open(partnerOf(name))];
      const id = await demand(name);
      expect(await deliver(name)).toEqual([200]);
      const found = await look(name, id);
      expect(found).toMatchObject({ status: 'received', withheld: [], comparison: { missing: [], unknown: [] } });
      const { ours, matched } = found['comparison'] as Comparison;
      expect([matched, ours >= keys.length]).toEqual([ours, true]);

      const part = await security.call('get', `${base(name)}/${id}/parts/1`);
      const check = verifyDocument(part.body);
      const [listed] = found['parts'] as { keyId: string }[];
      expect(check).toMatchObject({ ok: true, type: LOG_EXPORT_TYPE, keyId: listed?.keyId });
      const text = JSON.stringify((check as { content: unknown }).content);
      for (const key of keys) expect(text).toContain(key);
      const chain = (await look(name, id))['custody'] as { action: string; actor: string }[];
      expect(chain.map(({ action, actor }) => `${action} by ${actor}`)).toEqual([
        `proposed by staff/${security.memberId}`,
        `demanded by staff/${compliance.memberId}`,
        `received-part-1 by ${name}`,
        'compared by log-export',
        `opened-part-1 by staff/${security.memberId}`,
      ]);
      const [{ row } = { row: '' }]: { row: string }[] = await h.owner.$queryRaw`
      SELECT string_agg(f::text, '') AS row FROM sealed_files f JOIN log_export_parts p ON p.file_id = f.id
      WHERE p.demand_id = ${id}::uuid`;
      expect(row).not.toContain(Buffer.from(String(part.body['payload']).slice(0, 60)).toString('hex'));
      await ended(h, `log-export/${id}`);
    },
  );

  it('shows what was left out in silence as a gap, and what was named as withheld apart from it', async () => {
    const kluch = partnerOf('kluch');
    const hidden = await open(kluch);
    const first = await demand('kluch');
    expect(await deliver('kluch', { hide: 1 })).toEqual([200]);
    expect((await look('kluch', first))['comparison']).toMatchObject({ missing: [hidden], withheld: [] });

    const named = await open(kluch);
    const second = await demand('kluch');
    expect(await deliver('kluch', { withhold: 1 })).toEqual([200]);
    const found = await look('kluch', second);
    const { missing, withheld } = found['comparison'] as Comparison;
    expect([missing, withheld.includes(named)]).toEqual([[], true]);
    expect(found['withheld']).toMatchObject([{ reason: 'other-customers', entries: 1 }]);
  });

  it('is met by nobody else, by no other key and by nothing that was changed', async () => {
    const id = await demand('vizor');
    const agreed = documentSigner(h.secrets.fromVizorLogExportKey.value);
    const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const content = { demandId: id, part: 1, parts: 2, entries: [], withheld: [] };
    const good = signDocument(agreed, LOG_EXPORT_TYPE, content);
    const path = `/partner/v1/log-exports/${id}/parts`;
    const send = async (partnerId: string, body: object) => (await h.sandbox.callCompany(partnerId, path, body)).status;
    expect(await send('kluch', good)).toBe(404);
    expect(await send('vizor', signDocument(documentSigner(pem), LOG_EXPORT_TYPE, content))).toBe(403);
    expect(await send('vizor', signDocument(agreed, 'something-else+json', content))).toBe(403);
    const changed = Buffer.from(JSON.stringify({ ...content, parts: 1 })).toString('base64url');
    expect(await send('vizor', { ...good, payload: changed })).toBe(403);
    for (const wrong of [
      { part: 3 },
      { demandId: '00000000-0000-4000-8000-00000000dead' },
      { withheld: [{ reason: 'x' }] },
    ]) {
      expect(await send('vizor', signDocument(agreed, LOG_EXPORT_TYPE, { ...content, ...wrong }))).toBe(400);
    }
    expect((await look('vizor', id))['parts']).toEqual([]);

    expect([await send('vizor', good), await send('vizor', good)]).toEqual([200, 200]);
    const other = { ...content, entries: [{ at: new Date().toISOString(), key: 'open/x', event: 'open' }] };
    expect(await send('vizor', signDocument(agreed, LOG_EXPORT_TYPE, other))).toBe(409);
    expect(await look('vizor', id)).toMatchObject({ status: 'demanded', parts: [{ part: 1 }] });
    expect(await send('vizor', signDocument(agreed, LOG_EXPORT_TYPE, { ...other, part: 2 }))).toBe(200);
    expect((await look('vizor', id))['comparison']).toMatchObject({ unknown: ['open/x'] });
  });

  it('that is not met in time is overdue, staff are told, and the log is still taken', async () => {
    const id = await demand('shlagbaum');
    const alerts = async () =>
      (await h.owner.securityAlert.findMany({ where: { objectId: id } })).map(({ scope }) => scope).toSorted();
    await until('it is waited for', async () => {
      await h.temporal.sleep('1 day');
      return (await alerts()).includes('overdue');
    });
    expect(await alerts()).toEqual(['1-days', 'overdue']);
    expect(await look('shlagbaum', id)).toMatchObject({ status: 'overdue' });
    expect(await deliver('shlagbaum')).toEqual([200]);
    expect(await look('shlagbaum', id)).toMatchObject({ status: 'received' });
  });
});
