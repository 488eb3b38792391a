import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { compactDecrypt, importJWK } from 'jose';
import { equipmentSyncWorkflowId } from '../../contracts/ids';
import { lockoutKey } from '../../contracts/lockout';
import { DAYS_OF_WEEK } from '../../contracts/staff';
import { DATA_SET_FIELDS } from '../../partners/data-set';
import { createAppBackend } from '../../stack/story/app-backend';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { staffMember, type StaffCaller } from '../support/staff';
import { ended, until } from '../support/until';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const shlagbaum = PARTNERS.find(({ id }) => id === 'shlagbaum') as TownPartner;
const anna = RESIDENTS.anna.id;

describe('staff', () => {
  let h: Harness;
  let operator: StaffCaller;
  let security: StaffCaller;
  let deputy: StaffCaller;
  beforeAll(async () => {
    h = await createHarness();
    operator = await staffMember(h, ['operations']);
    security = await staffMember(h, ['information-security']);
    deputy = await staffMember(h, ['information-security']);
  }, 120_000);
  afterAll(() => h.close());

  const openDoor = (partner: TownPartner) =>
    h.app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId: anna });
  const effectsOf = (partner: TownPartner, body: Record<string, unknown>) =>
    h.sandbox.effects(partner.id, `open/${String(body['openingId'])}`);
  const journalOf = async (kind: string, objectId: string) =>
    (await h.owner.journalEntry.findMany({ where: { kind, objectId }, orderBy: { seq: 'asc' } })).map(
      ({ actor, outcome, reason }) => ({ actor, outcome, reason }),
    );

  it('block a door, which denies from that moment with a reason that only staff see, and unblock it', async () => {
    const door = `/staff/v1/access-points/${vizor.doorId}`;
    const blocked = await operator.call('post', `${door}/block`, { body: { reason: 'security-incident' } });
    expect(blocked).toMatchObject({ status: 200, body: { status: 'blocked' } });
    const denied = await openDoor(vizor);
    expect(denied.status).toBe(403);
    expect(await effectsOf(vizor, denied.body)).toBe(0);
    const seen = await operator.call('get', `/staff/v1/openings/${String(denied.body['openingId'])}`);
    expect(seen).toMatchObject({ status: 200, body: { status: 'denied', reason: 'device-unavailable' } });
    expect(JSON.stringify(seen.body)).not.toContain(anna);

    await operator.call('post', `${door}/block`, { body: { reason: 'security-incident' } });
    const unblocked = await security.call('post', `${door}/unblock`, { body: { reason: 'maintenance' } });
    expect(unblocked).toMatchObject({ status: 200, body: { status: 'active' } });
    expect((await openDoor(vizor)).status).toBe(200);
    expect(await journalOf('access-point', vizor.doorId)).toEqual([
      { actor: `staff/${operator.memberId}`, outcome: 'blocked', reason: 'security-incident' },
      { actor: `staff/${security.memberId}`, outcome: 'unblocked', reason: 'maintenance' },
    ]);
  });

  describe('set the hours of a door', () => {
    const path = `/staff/v1/access-points/${vizor.doorId}/visiting-hours`;
    const day = DAYS_OF_WEEK[(new Date().getUTCDay() + 2) % 7];
    /** Of a day of the week that is not within a day from now. */
    const elsewhen = { days: [day], from: '08:00', to: '22:30' };
    const set = (rightKind: string | null, hours: object[], who = operator) =>
      who.call('post', path, { body: { reason: 'house-request', rightKind, hours } });
    const remove = (rightKind: string | null) =>
      operator.call('post', `${path}/removal`, { body: { reason: 'house-request', rightKind } });
    const rulesBy = async (who: StaffCaller) =>
      (await who.call('get', '/staff/v1/access-rules')).body['accessPoints'] as Record<string, unknown>[];

    it('and it denies at every other hour from that moment on, until they are removed', async () => {
      expect(await set(null, [elsewhen])).toMatchObject({ status: 200, body: { hours: [elsewhen] } });
      const denied = await openDoor(vizor);
      expect([denied.status, denied.body['reason']]).toEqual([403, 'outside-hours']);
      expect(await effectsOf(vizor, denied.body)).toBe(0);
      expect((await set(null, [elsewhen, { days: [...DAYS_OF_WEEK], from: '00:00', to: '00:00' }])).status).toBe(200);
      expect((await openDoor(vizor)).status).toBe(200);
      await set(null, [elsewhen]);
      expect((await openDoor(vizor)).status).toBe(403);
      expect(await remove(null)).toMatchObject({ status: 200, body: { hours: [] } });
      expect((await openDoor(vizor)).status).toBe(200);
    });

    it('of guests, and whoever has another kind of right is not bound', async () => {
      await set('guest', [elsewhen]);
      expect((await openDoor(vizor)).status).toBe(200);
      const right = { where: { id: vizor.flats.paid.rightId } };
      await h.owner.propertyRight.update({ ...right, data: { kind: 'guest' } });
      expect((await openDoor(vizor)).body['reason']).toBe('outside-hours');
      await h.owner.propertyRight.update({ ...right, data: { kind: 'owner' } });
      await remove('guest');
    });

    it('and whoever answers for them reads them, with who set them, besides who blocked what', async () => {
      const compliance = await staffMember(h, ['compliance']);
      expect(await rulesBy(compliance)).toEqual([]);
      await set('tenant', [elsewhen]);
      const block = { body: { reason: 'maintenance' } };
      await operator.call('post', `/staff/v1/access-points/${shlagbaum.barrierId}/block`, block);
      await h.owner.accessPoint.update({ where: { id: vizor.barrierId }, data: { status: 'blocked' } });

      const by = `staff/${operator.memberId}`;
      const [hours, unknown, blocked] = await rulesBy(compliance);
      expect(hours).toMatchObject({
        accessPointId: vizor.doorId,
        timeZone: 'Europe/Moscow',
        block: null,
        hours: [{ rightKind: 'tenant', ...elsewhen, setBy: by }],
        platesReadByPartner: false,
      });
      const nobodySaid = { blockedAt: null, blockedBy: null, reason: null };
      expect(unknown).toMatchObject({ accessPointId: vizor.barrierId, block: nobodySaid, hours: [] });
      expect(blocked).toMatchObject({
        accessPointId: shlagbaum.barrierId,
        block: { blockedBy: by, reason: 'maintenance' },
        platesReadByPartner: true,
      });
      const manager = await staffMember(h, ['integration-manager:communal']);
      expect((await rulesBy(manager)).map(({ accessPointId }) => accessPointId)).toEqual([shlagbaum.barrierId]);

      await operator.call('post', `/staff/v1/access-points/${shlagbaum.barrierId}/unblock`, block);
      await h.owner.accessPoint.update({ where: { id: vizor.barrierId }, data: { status: 'active' } });
      await remove('tenant');
      expect(await rulesBy(compliance)).toEqual([]);
    });

    it('and the journal says each time what held from then on', async () => {
      const said = (await journalOf('visiting-hours', vizor.doorId)).map(({ outcome, reason }) => [outcome, reason]);
      const words = `${String(day)} 08:00-22:30`;
      expect(said.slice(0, 2)).toEqual([
        ['set', `house-request everybody ${words}`],
        ['set', `house-request everybody ${words} ${DAYS_OF_WEEK.join()} 00:00-00:00`],
      ]);
      expect(said.at(-1)).toEqual(['removed', 'house-request tenant']);
      const before = said.length;
      await remove('tenant'); // changes nothing, and so says nothing
      expect(await journalOf('visiting-hours', vizor.doorId)).toHaveLength(before);
    });

    it.each([
      ['no hours', []],
      ['no day', [{ ...elsewhen, days: [] }]],
      ['a day that there is not', [{ ...elsewhen, days: ['someday'] }]],
      ['a day twice', [{ ...elsewhen, days: ['monday', 'monday'] }]],
      ['a time that there is not', [{ ...elsewhen, to: '24:00' }]],
      ['more than is asked for', [{ ...elsewhen, note: 'x' }]],
    ])('but not with %s', async (_what, hours) => {
      // Each by somebody who has not asked for twenty things within the second.
      const another = await staffMember(h, ['operations']);
      expect((await set(null, hours, another)).status).toBe(400);
      expect((await set('lodger', [elsewhen], another)).status).toBe(400);
      expect(await h.owner.visitingHours.count()).toBe(0);
    });
  });

  it('get the same answer for the same Idempotency-Key, and 422 for another request with it', async () => {
    const request = { body: { reason: 'maintenance' }, key: randomUUID() };
    const path = `/staff/v1/access-points/${vizor.barrierId}`;
    const [first, second] = [
      await operator.call('post', `${path}/block`, request),
      await operator.call('post', `${path}/block`, request),
    ];
    expect(second).toEqual(first);
    const other = { ...request, body: { reason: 'house-request' } };
    expect((await operator.call('post', `${path}/block`, other)).status).toBe(422);
    expect(await journalOf('access-point', vizor.barrierId)).toHaveLength(1);
    await operator.call('post', `${path}/unblock`, { body: { reason: 'maintenance' } });
  });

  it('cannot block what the partner does not list, nor name a reason of their own', async () => {
    // Somebody who has not asked for twenty things within the second.
    const another = await staffMember(h, ['operations']);
    const path = `/staff/v1/access-points/${shlagbaum.barrierId}/block`;
    await h.owner.accessPoint.update({ where: { id: shlagbaum.barrierId }, data: { status: 'removed' } });
    expect((await another.call('post', path, { body: { reason: 'maintenance' } })).status).toBe(409);
    await h.owner.accessPoint.update({ where: { id: shlagbaum.barrierId }, data: { status: 'active' } });
    expect((await another.call('post', path, { body: { reason: 'call 8 900 000 00 00' } })).status).toBe(400);
  });

  it('release a lockout: a known plate opens again at once, and the next lockout will raise an alert of its own', async () => {
    const plate = 'А777МР77';
    const vehicle = { plate, houseId: vizor.houseId };
    expect((await h.app.post(`/app/v1/residents/${anna}/vehicles`, vehicle)).status).toBe(201);
    const show = async () => (await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, plate)).company?.status;
    expect(await show()).toBe(200);
    const until = new Date(Date.now() + 900_000);
    const key = lockoutKey('device', vizor.barrierId);
    await h.owner.$executeRaw`INSERT INTO rate_limits (key, points, expire) VALUES (${key}, 11, ${until.getTime()})`;
    const alert = {
      id: randomUUID(),
      integration: vizor.integration,
      kind: 'lockout',
      severity: 'high',
      scope: 'device',
      until,
    };
    await h.owner.securityAlert.create({ data: { ...alert, objectId: vizor.barrierId } });

    expect(await show()).toBe(403);

    const request = { body: { reason: 'house-request' } };
    const path = `/staff/v1/identification-locks/${vizor.barrierId}/release`;
    expect(await security.call('post', path, request)).toMatchObject({ status: 200, body: { released: true } });
    expect(await show()).toBe(200);
    const { until: over } = await h.owner.securityAlert.findUniqueOrThrow({ where: { id: alert.id } });
    expect(over.getTime()).toBeLessThanOrEqual(Date.now());
    expect((await security.call('post', path, request)).status).toBe(200);
    expect(await journalOf('identification-lock', vizor.barrierId)).toEqual([
      { actor: `staff/${security.memberId}`, outcome: 'released', reason: 'house-request' },
    ]);
  });

  describe('whose access information security looks after', () => {
    const members = '/staff/v1/members';
    const act = (by: StaffCaller, memberId: string, what: string, reason = 'security-incident') =>
      by.call('post', `${members}/${memberId}/${what}`, { body: { reason } });
    const sessionOf = async (who: StaffCaller): Promise<number> => (await who.call('get', '/staff/v1/session')).status;
    const listed = async (memberId: string) => {
      const { body } = await security.call('get', members);
      return (body['members'] as { memberId: string }[]).find((each) => each.memberId === memberId);
    };

    it('lose their sessions at once and may come again', async () => {
      const lost = await staffMember(h, ['auditor']);
      expect(await listed(lost.memberId)).toMatchObject({
        ...{ status: 'active', roles: ['auditor'], sessions: [{ sessionId: lost.sessionId }] },
      });
      expect(await act(security, lost.memberId, 'sessions/end', 'lost-device')).toMatchObject({
        ...{ status: 200, body: { status: 'active', sessions: [] } },
      });
      expect(await sessionOf(lost)).toBe(401);
      expect((await act(security, lost.memberId, 'sessions/end', 'lost-device')).status).toBe(200);
      expect(await journalOf('staff-member', lost.memberId)).toEqual([
        { actor: `staff/${security.memberId}`, outcome: 'sessions-ended', reason: 'lost-device' },
      ]);
    });

    it('lose all access, and get it back without what a review took and without their old session', async () => {
      const gone = await staffMember(h, ['auditor', 'operations', 'compliance']);
      const withdrawnRoles = ['operations', 'compliance'];
      await h.owner.staffMember.update({ where: { id: gone.memberId }, data: { withdrawnRoles } });
      const at = new Date();
      const item = { kind: 'member', holder: gone.memberId, granted: 'operations', decision: 'revoked' };
      const items = { create: [{ id: randomUUID(), ...item, decidedBy: 'staff/somebody' }] };
      const review = { id: randomUUID(), workflowId: 'w', openedAt: at, dueAt: at, state: 'closed', items };
      await h.owner.accessReview.create({ data: review });

      expect(await act(security, gone.memberId, 'disabling')).toMatchObject({ body: { status: 'disabled' } });
      expect(await sessionOf(gone)).toBe(401);
      const back = await act(deputy, gone.memberId, 'reinstatement', 'mistake');
      expect(back).toMatchObject({
        body: { status: 'active', roles: ['auditor', 'compliance'], withdrawnRoles: ['operations'] },
      });
      expect(await sessionOf(gone)).toBe(401);
      expect((await journalOf('staff-member', gone.memberId)).map(({ outcome }) => outcome)).toEqual([
        'disabled',
        'reinstated',
      ]);
    });

    it('is not their own: nobody takes all access from themselves, and others from nobody', async () => {
      expect(await act(security, security.memberId, 'disabling')).toMatchObject({
        ...{ status: 403, body: { type: '/problems/own-right' } },
      });
      expect((await act(operator, deputy.memberId, 'disabling')).status).toBe(403);
      expect((await act(security, randomUUID(), 'disabling')).status).toBe(404);
      expect(await sessionOf(deputy)).toBe(200);
    });
  });

  it('acknowledge an alert once, whoever comes second', async () => {
    const id = randomUUID();
    const row = {
      id,
      integration: null,
      kind: 'lockout',
      severity: 'high',
      scope: 'client',
      objectId: 'some-client',
      until: new Date(),
    };
    await h.owner.securityAlert.create({ data: row });
    const open = async () =>
      ((await operator.call('get', '/staff/v1/security-alerts?open=true')).body['alerts'] as { alertId: string }[]).map(
        ({ alertId }) => alertId,
      );
    expect(await open()).toContain(id);
    const path = `/staff/v1/security-alerts/${id}/acknowledgement`;
    const first = await security.call('post', path);
    const second = await deputy.call('post', path);
    expect(second).toEqual(first);
    expect(await open()).not.toContain(id);
    expect(await journalOf('security-alert', id)).toEqual([
      { actor: `staff/${security.memberId}`, outcome: 'acknowledged', reason: null },
    ]);
  });

  it('see partners with limits and health, and none of their settings', async () => {
    await openDoor(vizor);
    const { body } = await operator.call('get', '/staff/v1/partners');
    const partners = body['partners'] as { partnerId: string; health: { openingsLastHour: Record<string, number> } }[];
    expect(partners.map(({ partnerId }) => partnerId)).toEqual(['kluch', 'shlagbaum', 'vizor']);
    expect(partners[2]?.health.openingsLastHour['opened']).toBeGreaterThan(0);
    expect(JSON.stringify(body)).not.toMatch(/https:|BEGIN|password|clientId/);
  });

  it('who manage an integration reach its partners only, and the rest is not there for them', async () => {
    const manager = await staffMember(h, ['integration-manager:smart-home']);
    const ofOne = await staffMember(h, ['integration-manager:communal/shlagbaum']);
    const names = async (who: StaffCaller) =>
      ((await who.call('get', '/staff/v1/partners')).body['partners'] as { partnerId: string }[]).map(
        ({ partnerId }) => partnerId,
      );
    expect(await names(manager)).toEqual(['kluch', 'vizor']);
    expect(await names(ofOne)).toEqual(['shlagbaum']);
    expect((await manager.call('get', '/staff/v1/equipment?partnerId=vizor')).status).toBe(200);
    for (const [who, id] of [
      [manager, 'shlagbaum'],
      [ofOne, 'vizor'],
    ] as const) {
      expect((await who.call('get', `/staff/v1/equipment?partnerId=${id}`)).status).toBe(404);
      expect((await who.call('post', `/staff/v1/partners/${id}/equipment-sync`)).status).toBe(404);
      const door = id === 'shlagbaum' ? shlagbaum.doorId : vizor.doorId;
      const removal = { body: { reason: 'house-request', rightKind: null } };
      expect((await who.call('post', `/staff/v1/access-points/${door}/visiting-hours/removal`, removal)).status).toBe(
        404,
      );
      const proposal = { body: { fields: [] } };
      expect((await who.call('post', `/staff/v1/partners/${id}/data-set-agreements`, proposal)).status).toBe(404);
    }
  });

  it('have equipment compared, and the rows follow the partner', async () => {
    const before = await h.sandbox.equipment(vizor.id);
    const renamed = before.map((house) => ({
      ...house,
      devices: house.devices.map((device) => ({ ...device, name: `${device.name} (new)` })),
    }));
    await h.sandbox.setEquipment(vizor.id, renamed);
    expect((await operator.call('post', '/staff/v1/partners/vizor/equipment-sync')).status).toBe(202);
    await ended(h, equipmentSyncWorkflowId(vizor.id));
    const { body } = await operator.call('get', '/staff/v1/equipment?partnerId=vizor');
    const labels = (body['accessPoints'] as { label: string }[]).map(({ label }) => label);
    expect(labels.length).toBeGreaterThan(0);
    for (const label of labels) expect(label).toMatch(/\(new\)$/);
    await h.sandbox.setEquipment(vizor.id, before);
  });

  describe('agree on what a partner may be sent', () => {
    const path = `/staff/v1/partners/${vizor.id}/data-set-agreements`;
    const everything: string[] = [...DATA_SET_FIELDS];
    const propose = async (by: StaffCaller, fields: readonly string[]): Promise<string> => {
      const { status, body } = await by.call('post', path, { body: { fields } });
      expect(status).toBe(201);
      return String(body['agreementId']);
    };
    const approve = (by: StaffCaller, id: string, key?: string) =>
      by.call('post', `${path}/${id}/approval`, key === undefined ? {} : { key });
    const partner = () => h.owner.partner.findUniqueOrThrow({ where: { id: vizor.id } });

    it('in twos: the proposal changes nothing, its author cannot approve it, and another one can', async () => {
      const before = await partner();
      const id = await propose(security, ['commandId', 'deviceId']);
      expect(await partner()).toEqual(before);
      expect(await approve(security, id)).toMatchObject({ status: 403, body: { type: '/problems/own-proposal' } });
      expect(await partner()).toEqual(before);
      expect(await approve(deputy, id)).toMatchObject({ status: 200, body: { status: 'in-force' } });
      const after = await partner();
      expect(after.agreedFields).toEqual(['commandId', 'deviceId']);
      expect(after.revision).toBe(before.revision + 1);
      expect(await journalOf('data-set-agreement', id)).toEqual([
        { actor: `staff/${security.memberId}`, outcome: 'proposed', reason: null },
        { actor: `staff/${deputy.memberId}`, outcome: 'in-force', reason: null },
      ]);
    });

    it('and the connector follows the version in force from its next call', async () => {
      await approve(deputy, await propose(security, everything));
      const allowed = await openDoor(vizor);
      expect(await effectsOf(vizor, allowed.body)).toBe(1);

      await approve(
        security,
        await propose(
          deputy,
          everything.filter((field) => field !== 'deviceId'),
        ),
      );
      const refused = await openDoor(vizor);
      expect(refused.status).toBe(502);
      expect(await effectsOf(vizor, refused.body)).toBe(0);

      await approve(deputy, await propose(security, everything));
      const again = await openDoor(vizor);
      expect(await effectsOf(vizor, again.body)).toBe(1);
    });

    it('with versions that count up, one in force, and what was replaced kept', async () => {
      const { body } = await security.call('get', path);
      const agreements = body['agreements'] as { version: number | null; status: string }[];
      expect(agreements.filter(({ status }) => status === 'in-force')).toHaveLength(1);
      const versions = agreements.flatMap(({ version }) => version ?? []).toSorted((a, b) => a - b);
      expect(versions).toEqual(versions.map((_, index) => index + 1));
    });

    it('once: two who approve at the same instant, or twice, make one version', async () => {
      const third = await staffMember(h, ['information-security']);
      const id = await propose(security, everything);
      const { revision } = await partner();
      const answers = await Promise.all([approve(deputy, id), approve(third, id)]);
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409]);
      const first = answers[0].status === 200 ? deputy : third;
      expect((await approve(first, id)).status).toBe(200);
      expect((await partner()).revision).toBe(revision + 1);
    });

    it('and a proposal that was made before another took effect has to be made anew', async () => {
      const [older, newer] = [await propose(security, []), await propose(security, everything)];
      expect((await approve(deputy, newer)).status).toBe(200);
      expect(await approve(deputy, older)).toMatchObject({
        status: 409,
        body: { type: '/problems/approval-conflict' },
      });
      expect((await partner()).agreedFields).toEqual(everything);
    });

    it('never with a field that no call has, or one named twice', async () => {
      for (const fields of [['commandId', 'fullName'], ['photo', 'photo'], 'photo']) {
        expect((await security.call('post', path, { body: { fields } })).status).toBe(400);
      }
    });

    it('in twos also when the code is wrong: the table takes no approval by who asked', async () => {
      const id = await propose(security, everything);
      const own = h.owner.approval.update({
        where: { kind_objectId: { kind: 'data-set-agreement', objectId: id } },
        data: { approvedBy: security.memberId },
      });
      await expect(own).rejects.toThrow(/check/i);
    });
  });

  // Ends the tokens of the app's backend, so it comes last.
  describe('who take the next secret of one of our own backends', () => {
    const secrets = `/staff/v1/own-clients/${APP_CLIENT_ID}/secrets`;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const take = async (): Promise<{ status: number; secret: string }> => {
      const { status, body } = await security.call('post', secrets, {
        body: { publicKey: publicKey.export({ format: 'jwk' }) },
      });
      if (status !== 200) return { status, secret: '' };
      const key = await importJWK(privateKey.export({ format: 'jwk' }), 'ECDH-ES+A256KW');
      const { plaintext } = await compactDecrypt(String(body['jwe']), key);
      return { status, secret: (JSON.parse(Buffer.from(plaintext).toString()) as { secret: string }).secret };
    };
    const retire = async (body: object = {}) => security.call('post', `${secrets}/retirement`, { body });
    const hashes = async () =>
      (await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: APP_CLIENT_ID } })).secretHashes;
    /** What the app's backend gets with a secret, by a token of its own. */
    const shows = async (clientSecret: string): Promise<number> => {
      const backend = createAppBackend({ apiUrl: h.apiUrl, caPem: h.caPem, clientId: APP_CLIENT_ID, clientSecret });
      const { status } = await backend.get('/app/v1/consent-forms/current').catch(() => ({ status: 401 }));
      await backend.close();
      return status;
    };

    it('have it good beside the one before, until that is retired; a lost one is replaced', async () => {
      const first = h.secrets.appClient.value;
      const lost = await take();
      const { secret } = await take();
      expect(await retire()).toMatchObject({ status: 409, body: { type: '/problems/secret-not-shown' } });
      expect([await shows(first), await shows(secret), await shows(lost.secret)]).toEqual([200, 200, 401]);
      const newest = (await hashes()).at(-1) ?? '';
      await until('it was seen', async () =>
        h.owner.secretSighting.count({ where: { secretHash: newest } }).then((count) => count > 0),
      );
      expect((await take()).status).toBe(409);
      expect(await retire()).toMatchObject({ status: 200 });
      expect([await shows(first), await shows(secret)]).toEqual([401, 200]);
      expect((await retire()).status).toBe(200);

      // The one that is used now is in wrong hands: its successor is good alone, whether it was shown or not.
      const next = await take();
      expect(await retire({ urgently: true })).toMatchObject({ status: 200 });
      expect([await shows(secret), await shows(next.secret)]).toEqual([401, 200]);
      expect(await hashes()).toHaveLength(1);
      const written = (await journalOf('credential', `domovoy/client/${APP_CLIENT_ID}`)).map(({ outcome }) => outcome);
      expect(written).toEqual(['issued', 'issued', 'retired', 'issued', 'revoked']);
    });

    it('have none of a partner’s client, nor of one that is not there', async () => {
      for (const id of ['vizor', 'nobody']) {
        const path = `/staff/v1/own-clients/${id}/secrets`;
        const body = { publicKey: publicKey.export({ format: 'jwk' }) };
        expect((await security.call('post', path, { body })).status).toBe(404);
        expect((await security.call('post', `${path}/retirement`, { body: { urgently: true } })).status).toBe(404);
      }
    });
  });
});
