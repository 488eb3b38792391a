import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { DefaultLogger } from '@temporalio/worker';
import { Agent, fetch as fetchWith } from 'undici';
import { raiseFinding } from '../../activities/raise-finding';
import type { SecurityMonitoringActivities } from '../../activities/security-monitoring';
import type { Found } from '../../monitoring/watch';
import { startSecurityDesk, type ReceivedAlert } from '../../sandbox/security-desk/service';
import { securityAlertWorkflowId } from '../../contracts/ids';
import { readPartnerCall } from '../../journal/partner-calls';
import { readRefusals } from '../../journal/refusals';
import { openDatabase, type Database } from '../../prisma/database';
import { PARTNERS, RESIDENTS, SERVICE, type TownPartner } from '../../stack/town';
import { partnerCall } from '../support/company-calls';
import { startCore, type CoreWorker } from '../support/core';
import { freePorts } from '../support/free-ports';
import { createHarness, type Harness } from '../support/harness';
import { connect } from '../support/journal';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

describe('monitoring of the journal', () => {
  let h: Harness;
  let core: CoreWorker;
  /** With the rights of the worker: what another writes into the journal gets no place in it. */
  let coreDatabase: Database;
  let desk: Awaited<ReturnType<typeof startSecurityDesk>>;
  let officer: StaffCaller;
  beforeAll(async () => {
    h = await createHarness();
    const [port = 0, controlPort = 0] = await freePorts(2);
    desk = await startSecurityDesk({
      dataDir: join(h.stateFolder, 'security-desk'),
      host: '127.0.0.1',
      port,
      controlPort,
      tls: {
        cert: readFileSync(h.certificates.securityDesk.certificate, 'utf8'),
        key: readFileSync(h.certificates.securityDesk.key, 'utf8'),
      },
      secret: h.secrets.securityWebhook.value,
    });
    core = await startCore(h, { securityWebhookUrl: `https://localhost:${port.toString()}/alerts`, wrap });
    coreDatabase = openDatabase(h.db.urlFor('domovoy_core'), 2);
    officer = await staffMember(h, ['information-security']);
  }, 120_000);
  afterAll(async () => {
    await core.stop();
    await coreDatabase.$disconnect();
    await desk.close();
    await h.close();
  });

  /** Done once between the worker's look at the row of an alert and its answer. */
  const meanwhile = new Map<string, () => Promise<unknown>>();
  const wrap = <T extends object>(activities: T): T => {
    const monitoring = activities as unknown as SecurityMonitoringActivities;
    const asked = async (alertId: string): Promise<boolean> => {
      const answer = await monitoring.isAlertAcknowledged(alertId);
      const act = meanwhile.get(alertId);
      meanwhile.delete(alertId);
      await act?.();
      return answer;
    };
    return { ...activities, isAlertAcknowledged: asked };
  };
  /** Without skipping time, as waiting for the result would: alerts have calls that are due. */
  const run = async (workflowType: string): Promise<void> => {
    const workflowId = `${workflowType}/${randomUUID()}`;
    await h.temporal.client.workflow.start(workflowType, { taskQueue: 'core', workflowId, args: [] });
    await ended(h, workflowId);
  };
  /** One turn of both schedules. */
  const turn = async (): Promise<void> => {
    await run('journalSealingWorkflow');
    await run('securityMonitoringWorkflow');
  };
  const told = async () => {
    const answer = await fetch(`http://127.0.0.1:${desk.controlPort.toString()}/control/alerts`);
    return (await answer.json()) as { alerts: ReceivedAlert[]; counts: Record<string, number> };
  };
  const toldOf = async (alertId: string) =>
    (await told()).alerts
      .filter(({ message }) => (message['data'] as { alertId: string }).alertId === alertId)
      .map(({ message }) => message);
  const askElsewhere = () =>
    h.sandbox.callCompany('vizor', '/partner/v1/resident-requests', {
      clientId: randomUUID(),
      deviceId: `not-ours-${randomUUID()}`,
      action: 'open',
    });
  const findingAbout = (objectId: string, integration: string): Found => ({
    ...{ kind: 'outside-houses', scope: 'client', objectId, integration, severity: 'high' },
    ...{ quietMs: 3_600_000, times: 5, evidence: ['1'] },
  });
  const raise = (found: Found) =>
    coreDatabase.$transaction((tx) => raiseFinding(tx, found, new DefaultLogger('ERROR')));
  const alertOf = (kind: string) => h.owner.securityAlert.findFirst({ where: { kind } });
  const raised = async (kind: string) => {
    const alert = await alertOf(kind);
    if (!alert) throw new Error(`no alert of kind ${kind}`);
    return alert;
  };

  const entriesOf = (alert: { evidence: string[] }) =>
    h.owner.journalEntry.findMany({ where: { seq: { in: alert.evidence.map(BigInt) } }, orderBy: { seq: 'asc' } });

  // First: the others let time pass for the server, and an opening of now would have expired long ago.
  it('raises an alert about one plate at two houses between which nobody drives so fast, and not about whose it is', async () => {
    const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
    const anna = RESIDENTS.anna.id;
    const [houseId, propertyId] = [randomUUID(), randomUUID()];
    const far = { integration: vizor.integration, partnerId: vizor.id, houseId, service: SERVICE };
    // Moscow and Saint Petersburg.
    await h.owner.house.update({ where: { id: vizor.houseId }, data: { latitude: 55.75, longitude: 37.62 } });
    await h.owner.house.create({ data: { id: houseId, latitude: 59.94, longitude: 30.31 } });
    await h.owner.housePartner.create({ data: { ...far, partnerHouseId: 'vizor-house-far' } });
    await h.owner.accessPoint.create({
      data: { ...far, id: randomUUID(), deviceId: 'vizor-barrier-far', kind: 'barrier' },
    });
    const billingAccountId = vizor.flats.paid.accountId;
    await h.owner.property.create({ data: { id: propertyId, houseId, kind: 'flat', billingAccountId } });
    const right = { id: randomUUID(), residentId: anna, propertyId, kind: 'owner', startsAt: new Date(0) };
    await h.owner.propertyRight.create({ data: right });
    const devices = [{ id: 'vizor-barrier-far', kind: 'barrier', name: 'far away', online: true }];
    await h.sandbox.setEquipment('vizor', [
      ...(await h.sandbox.equipment('vizor')),
      { id: 'vizor-house-far', devices },
    ]);
    expect((await h.app.post(`/app/v1/residents/${anna}/vehicles`, { plate: 'А321ВС77' })).status).toBe(201);

    for (const device of [vizor.barrierDeviceId, 'vizor-barrier-far']) {
      const { company } = await h.sandbox.showPlate('vizor', device, 'А321ВС77');
      expect(company?.status).toBe(200);
    }
    await turn();
    const alert = await raised('impossible-travel');
    expect(alert).toMatchObject({ scope: 'plate', severity: 'critical', integration: 'smart-home' });
    expect(JSON.stringify(alert)).not.toContain(anna);
    const entries = await entriesOf(alert);
    expect(entries.map(({ kind }) => kind)).toEqual(['opening', 'opening']);
    const openings = await h.owner.opening.findMany({
      where: { id: { in: entries.map(({ objectId }) => objectId ?? '') } },
      include: { accessPoint: true },
    });
    expect(new Set(openings.map(({ accessPoint }) => accessPoint.houseId))).toEqual(new Set([vizor.houseId, houseId]));
    // Its calls are not to come among those that others wait for.
    await officer.call('post', `/staff/v1/security-alerts/${alert.id}/acknowledgement`);
    await ended(h, securityAlertWorkflowId(alert.id));
  });

  it('hears somebody who looks while the worker is asking whether somebody has', async () => {
    const objectId = randomUUID();
    await raise({ ...findingAbout(objectId, 'communal'), kind: 'lockout' });
    const { id } = await h.owner.securityAlert.findFirstOrThrow({ where: { objectId } });
    meanwhile.set(id, () => officer.call('post', `/staff/v1/security-alerts/${id}/acknowledgement`));
    await turn();
    await ended(h, securityAlertWorkflowId(id));
    expect(meanwhile.size).toBe(0);
    expect((await toldOf(id)).map(({ type }) => type)).toEqual([
      'security.alert.raised',
      'security.alert.acknowledged',
    ]);
  }, 150_000);

  it('tells the security team once of a partner that asks for what is not its own, and does not keep it out', async () => {
    await h.owner.partner.updateMany({ data: { inboundPerSecond: 100_000, inboundConcurrency: 1_000 } });
    const answers = await Promise.all(Array.from({ length: 26 }, askElsewhere));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([404]));
    await until('the requests are in the journal', async () => {
      const noted = await h.owner.journalEntry.count({ where: { kind: 'exchange', actor: 'vizor', outcome: '404' } });
      return noted >= 26;
    });
    await turn();
    await turn();
    expect(await h.owner.securityAlert.count({ where: { kind: 'outside-houses' } })).toBe(1);
    const alert = await raised('outside-houses');
    expect(alert).toMatchObject({ scope: 'client', objectId: 'vizor', severity: 'high', integration: 'smart-home' });
    const entries = await h.owner.journalEntry.findMany({ where: { seq: { in: alert.evidence.map(BigInt) } } });
    expect(new Set(entries.map(({ reason }) => reason)).size).toBe(entries.length);
    expect(JSON.stringify(entries.map(({ reason }) => reason))).not.toContain('not-ours');
    expect(entries.length).toBeGreaterThan(4);
    expect(new Set(entries.map(({ actor, outcome }) => `${String(actor)} ${String(outcome)}`))).toEqual(
      new Set(['vizor 404']),
    );

    // Devices of a new entrance that is not listed yet look the same: nobody is kept out for it.
    expect((await askElsewhere()).status).toBe(404);
    await until('the team is told', async () => (await toldOf(alert.id)).length === 1);
    expect(await toldOf(alert.id)).toMatchObject([
      { type: 'security.alert.raised', data: { kind: 'outside-houses', level: 0 } },
    ]);
  }, 120_000);

  it('keeps out a partner that goes through ids, until a person lets it in again', async () => {
    const alert = await raised('outside-houses');
    const found = { ...findingAbout('vizor', 'smart-home'), suspend: { clientId: 'vizor', forMs: 3_600_000 } };
    await Promise.all(Array.from({ length: 20 }, askElsewhere));
    await until('the requests are in the journal', async () => {
      const noted = await h.owner.journalEntry.count({ where: { kind: 'exchange', actor: 'vizor', outcome: '404' } });
      return noted >= 47;
    });
    await turn();
    const told = await h.owner.securityAlert.findFirstOrThrow({ where: { kind: 'client-suspension' } });
    await officer.call('post', `/staff/v1/security-alerts/${told.id}/acknowledgement`);
    // Its token is refused, and it gets no other.
    expect((await askElsewhere()).status).toBeNull();

    const { body } = await officer.call('get', '/staff/v1/client-suspensions');
    const [suspension] = body['suspensions'] as { suspensionId: string; clientId: string }[];
    expect(suspension).toMatchObject({ clientId: 'vizor', alertId: alert.id, liftedAt: null });
    const lift = `/staff/v1/client-suspensions/${suspension?.suspensionId ?? ''}/lift`;
    expect((await (await staffMember(h, ['operations'])).call('post', lift)).status).toBe(403);
    expect(await officer.call('post', lift)).toMatchObject({
      status: 200,
      body: { liftedBy: `staff/${officer.memberId}` },
    });
    expect((await askElsewhere()).status).toBe(404);
    // What a person has lifted stays lifted, although the alert goes on.
    await raise(found);
    expect((await askElsewhere()).status).toBe(404);
    const kept = await h.owner.journalEntry.findMany({ where: { kind: 'client-suspension' }, orderBy: { seq: 'asc' } });
    expect(kept.map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ['suspended', 'vizor'],
      ['lifted', 'vizor'],
    ]);
  }, 120_000);

  it('calls again and again until a person has looked, and then no more', async () => {
    const { id } = await raised('outside-houses');
    await h.temporal.sleep('16 minutes');
    await until('the first call', async () => (await toldOf(id)).length === 2);
    await h.temporal.sleep('46 minutes');
    await until('the second call', async () => (await toldOf(id)).length === 3);
    expect((await toldOf(id)).map(({ type, data }) => [type, (data as { level: number }).level])).toEqual([
      ['security.alert.raised', 0],
      ['security.alert.escalated', 1],
      ['security.alert.escalated', 2],
    ]);
    const path = `/staff/v1/security-alerts/${id}/acknowledgement`;
    expect(await officer.call('post', path)).toMatchObject({
      status: 200,
      body: { acknowledgedBy: `staff/${officer.memberId}` },
    });
    await ended(h, securityAlertWorkflowId(id));
    await until('the team is told that somebody has', async () => (await toldOf(id)).length === 4);
    expect((await toldOf(id)).at(-1)).toMatchObject({
      type: 'security.alert.acknowledged',
      data: { acknowledgedBy: `staff/${officer.memberId}` },
    });
    const calls = await h.owner.journalEntry.count({ where: { kind: 'escalation', objectId: id } });
    expect(calls).toBe(2);
  }, 120_000);

  it('tells with the same id and the same words until the receiver has taken it, and looks after alerts that others raised', async () => {
    await fetch(`http://127.0.0.1:${desk.controlPort.toString()}/control/fault`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ failures: 2 }),
    });
    const id = randomUUID();
    const until_ = new Date(Date.now() + 900_000);
    const row = {
      id,
      integration: 'communal',
      kind: 'lockout',
      severity: 'high',
      scope: 'device',
      objectId: randomUUID(),
      until: until_,
    };
    const notice = { ...row, id: randomUUID(), kind: 'security-audit', severity: 'low' };
    await h.owner.securityAlert.createMany({ data: [row, notice] });
    await turn();
    await turn();
    // The clock of the server is ahead by what was skipped: calls are due at once, and fail or arrive as the first does.
    const deliveries = () => h.owner.alertDelivery.findMany({ where: { alertId: id } });
    await until('everything is told', async () => {
      const rows = await deliveries();
      return rows.length >= 1 && rows.every(({ deliveredAt }) => deliveredAt !== null);
    });
    expect(await h.owner.alertDelivery.count({ where: { alertId: notice.id } })).toBe(0);
    await expect(
      h.temporal.client.workflow.getHandle(securityAlertWorkflowId(notice.id)).describe(),
    ).rejects.toMatchObject({ name: 'WorkflowNotFoundError' });
    const rows = await deliveries();
    expect(rows.map(({ event }) => event)).toContain('raised');
    expect(rows.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(rows.length + 2);
    expect((await told()).counts).toMatchObject({ failed: 2, refused: 0 });
    const bodies = rows.map(({ body }) => body).toSorted();
    expect((await toldOf(id)).map((message) => JSON.stringify(message)).toSorted()).toEqual(bodies);
    await officer.call('post', `/staff/v1/security-alerts/${id}/acknowledgement`);
    await ended(h, securityAlertWorkflowId(id));
  }, 120_000);

  it('tells of a suspension that follows an alert at which somebody has looked already, with a message of its own', async () => {
    const finding = findingAbout('shlagbaum', 'communal');
    expect(await raise(finding)).toBe(true);
    const { id } = await h.owner.securityAlert.findFirstOrThrow({ where: { objectId: 'shlagbaum' } });
    // While nobody has looked, a cause that lasts is no second alert, however long ago the first was raised.
    await h.owner.securityAlert.update({ where: { id }, data: { until: new Date(Date.now() - 1_000) } });
    expect(await raise(finding)).toBe(false);
    const { until: quiet } = await h.owner.securityAlert.findUniqueOrThrow({ where: { id } });
    expect(quiet.getTime()).toBeGreaterThan(Date.now());
    await turn();
    await until('the team is told', async () => (await toldOf(id)).length === 1);
    await officer.call('post', `/staff/v1/security-alerts/${id}/acknowledgement`);
    await ended(h, securityAlertWorkflowId(id));

    const suspend = { clientId: 'shlagbaum', forMs: 3_600_000 };
    for (let time = 0; time < 2; time++) expect(await raise({ ...finding, suspend })).toBe(false);
    await turn();
    const alerts = await h.owner.securityAlert.findMany({
      where: { kind: 'client-suspension', objectId: 'shlagbaum' },
    });
    expect(alerts).toMatchObject([{ objectId: 'shlagbaum', acknowledgedAt: null, severity: 'high' }]);
    const suspension = alerts[0]?.id ?? '';
    await until('the team is told of the suspension', async () => (await toldOf(suspension)).length > 0);
    expect((await toldOf(suspension))[0]).toMatchObject({
      type: 'security.alert.raised',
      data: { kind: 'client-suspension', suspendedClientId: 'shlagbaum', level: 0 },
    });
    await officer.call('post', `/staff/v1/security-alerts/${suspension}/acknowledgement`);
    await ended(h, securityAlertWorkflowId(suspension));
  }, 120_000);

  it('raises an alert about guesses at a barrier by variant A, which end at the token endpoint', async () => {
    const basic = Buffer.from(`vizor:${h.secrets.fromVizorSecret.value}`).toString('base64');
    const dispatcher = new Agent({ connect: { ca: h.caPem } });
    const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
    // No two are alike: a series would lock the device sooner.
    const plates = ['А101ВЕ77', 'В212КМ77', 'Е323НО77', 'К434РС77', 'М545ТУ77', 'Н656ХА77', 'О767АВ77', 'Р878ВЕ77'];
    for (const plate of plates) {
      const answer = await fetchWith(`${h.apiUrl}/oauth/token`, {
        method: 'POST',
        dispatcher,
        headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          ...{ grant_type: 'client_credentials', device_id: vizor.barrierDeviceId, plate },
        }).toString(),
      });
      expect(answer.status).toBe(400);
      await h.owner.$executeRaw`DELETE FROM rate_limits WHERE key LIKE 'identification-pause%'`;
    }
    await dispatcher.close();
    await turn();
    expect(await raised('guessing')).toMatchObject({ scope: 'device', objectId: vizor.barrierId, severity: 'high' });
  });

  it('has each message to the team in the journal, those that were not taken too', async () => {
    const delivered = () =>
      h.owner.journalEntry.findMany({ where: { kind: 'partner-call', actor: { startsWith: 'security-alert/' } } });
    await until('the calls are written', async () => (await delivered()).length >= 3);
    const calls = (await delivered()).map((entry) => [
      readPartnerCall(entry)?.partnerId,
      entry.integration,
      entry.outcome,
    ]);
    expect(calls).toContainEqual(['security-webhook', null, 'ok']);
    expect(calls).toContainEqual(['security-webhook', null, 'PartnerUnavailable']);
  });

  it('raises an alert about somebody who tries many names, and keeps neither the names nor the address', async () => {
    const { _max: before } = await h.owner.journalEntry.aggregate({ _max: { seq: true } });
    for (let index = 0; index < 6; index++) {
      const name = `canary-name-${index.toString()}`;
      const authorization = `Basic ${Buffer.from(`${name}:guess`).toString('base64')}`;
      const request = {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
      };
      const dispatcher = new Agent({ connect: { ca: h.caPem } });
      const answer = await fetchWith(`${h.apiUrl}/oauth/token`, {
        ...request,
        body: 'grant_type=client_credentials',
        dispatcher,
      });
      expect(answer.status).toBe(401);
      await dispatcher.close();
    }
    await until('all of them are counted', async () => {
      const entries = await h.owner.journalEntry.findMany({
        where: { kind: 'refusal', outcome: 'credentials', seq: { gt: before.seq ?? 0n } },
      });
      return new Set(entries.flatMap((entry) => readRefusals(entry)?.names ?? [])).size >= 6;
    });
    await turn();
    expect(await raised('credential-stuffing')).toMatchObject({ scope: 'network', severity: 'high' });
    const stored = JSON.stringify([
      await h.owner.journalEntry.findMany({
        where: { kind: 'refusal' },
        select: { objectId: true, actor: true, reason: true },
      }),
      await h.owner.monitoringState.findMany({ select: { memory: true } }),
    ]);
    expect(stored).not.toMatch(/canary|127\.0\.0/);
  });

  const raisedAbout = (kind: string, objectId: string) =>
    h.owner.securityAlert.findFirstOrThrow({ where: { kind, objectId } });
  const refusalsOf = (outcome: string) =>
    h.owner.journalEntry.count({ where: { kind: 'refusal', actor: 'kluch', outcome } });
  const sendSpoilt = async (tampering: 'replayed' | 'expired-signature'): Promise<void> => {
    const body = { clientId: randomUUID(), deviceId: 'kluch-door-1', action: 'open' };
    const { status } = await partnerCall(h, 'kluch', { path: '/partner/v1/resident-requests', body, tampering });
    expect(status).toBe(401);
  };
  /** What only the database's superuser can do. */
  const tamper = (sql: string) =>
    h.owner.$transaction([
      h.owner.$executeRawUnsafe(`SET LOCAL session_replication_role = 'replica'`),
      h.owner.$executeRawUnsafe(sql),
    ]);

  it('raises an alert about a signed message that came a second time', async () => {
    await sendSpoilt('replayed');
    await until('the refusal is in the journal', async () => (await refusalsOf('replayed')) > 0);
    await turn();
    const alert = await raised('replay');
    expect(alert).toMatchObject({ scope: 'client', objectId: 'kluch', severity: 'high', integration: 'smart-home' });
    expect(await entriesOf(alert)).toMatchObject([{ kind: 'refusal', actor: 'kluch', outcome: 'replayed' }]);
  });

  it('raises an alert about a partner whose clock is so far off that its signatures are refused', async () => {
    for (let times = 1; times <= 3; times++) {
      await sendSpoilt('expired-signature');
      await until('the refusal is in the journal', async () => (await refusalsOf('signature-time')) >= times);
    }
    await turn();
    const alert = await raisedAbout('clock-drift', 'kluch');
    expect(alert).toMatchObject({ scope: 'partner', severity: 'medium', integration: 'smart-home' });
    expect(await entriesOf(alert)).toMatchObject(Array(3).fill({ kind: 'refusal', outcome: 'signature-time' }));
  });

  it('raises an alert when the clock of the worker is not that of the database', async () => {
    const now = Date.now.bind(Date);
    const ahead = jest.spyOn(Date, 'now').mockImplementation(() => now() + 10_000);
    try {
      await run('securityMonitoringWorkflow');
    } finally {
      ahead.mockRestore();
    }
    expect(await raisedAbout('clock-drift', 'worker-core')).toMatchObject({ scope: 'own', integration: null });
  });

  it('raises an alert about staff who take out much at night', async () => {
    const operator = await staffMember(h, ['operations']);
    const origin = 'https://temporal.company.example';
    const decode = { body: { payloads: [] }, origin };
    expect((await operator.call('post', '/staff/v1/codec/decode', decode)).status).toBe(200);
    const actor = `staff/${operator.memberId}`;
    const noted = () => h.owner.journalEntry.findFirst({ where: { actor, reason: 'decodePayloads' } });
    await until('the request is in the journal', async () => (await noted()) !== null);
    const seq = (await noted())?.seq.toString() ?? '';
    await run('journalSealingWorkflow');
    // At three in the morning in Moscow, whenever the test runs; before it has its place it would be refused for that.
    const night = `date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'`;
    await tamper(`UPDATE journal_entries SET at = ${night} WHERE seq = ${seq}`);
    await tamper(`UPDATE journal_leaves SET entry_at = ${night} WHERE entry_seq = ${seq}`);
    await run('securityMonitoringWorkflow');
    const alert = await raised('off-hours-export');
    expect(alert).toMatchObject({ scope: 'decodePayloads', objectId: actor, severity: 'medium', evidence: [seq] });
  });

  it('raises an alert about an entry that no process wrote, which gets no place', async () => {
    // As the superuser, and in a session that was given to the login of a process.
    const superuser = await connect(h.db.ownerUrl);
    const insert = `INSERT INTO journal_entries (kind, object_id) VALUES ('opening', 'forged')`;
    await superuser.query(insert);
    await superuser.query('SET SESSION AUTHORIZATION test_domovoy_core');
    await superuser.query(insert);
    await superuser.end();
    await turn();
    const alert = await h.owner.securityAlert.findFirstOrThrow({ where: { kind: 'journal-head', scope: 'sealing' } });
    expect(alert).toMatchObject({ severity: 'critical', objectId: 'journal' });
    expect(await entriesOf(alert)).toMatchObject([{ kind: 'alarm', outcome: 'not-placed', reason: 'JournalStranger' }]);
    const forged = (await h.owner.journalEntry.findMany({ where: { objectId: 'forged' } })).map(({ seq }) => seq);
    expect(forged).toHaveLength(2);
    expect(await h.owner.journalLeaf.count({ where: { entrySeq: { in: forged } } })).toBe(0);
    expect(await h.owner.journalPending.count({ where: { entrySeq: { in: forged }, byStranger: true } })).toBe(2);
  });

  it('raises an alert about a signed head that is no longer what it was', async () => {
    await tamper(`UPDATE journal_heads SET root_hash = sha256('other')
      WHERE tree_size = (SELECT max(tree_size) FROM journal_heads)`);
    await run('securityMonitoringWorkflow');
    expect(await h.owner.securityAlert.findFirst({ where: { kind: 'journal-head', scope: 'head' } })).toMatchObject({
      severity: 'critical',
      objectId: 'journal',
    });
  });
});
