import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { apiSections } from '../../api/composition';
import { ATTESTED } from '../../contracts/attestation-letters';
import { PERMISSIONS, STAFF_ROLES } from '../../contracts/staff';
import { createHarness, type Harness } from '../support/harness';
import { staffMember, type StaffCaller } from '../support/staff';
import { until } from '../support/until';

/** The operations as they are mounted; nothing behind them is touched. */
const nothing: never = new Proxy({}, { get: () => nothing }) as never;
const operations = apiSections(nothing).flatMap((section) => (section.base === '/staff/v1' ? section.operations : []));

const nobody = '00000000-0000-4000-8000-00000000dead';
const ahead = (ms: number): string => new Date(Date.now() + ms).toISOString();
const reason = { reason: 'security-incident' };
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const sealedTo = { publicKey: publicKey.export({ format: 'jwk' }) };
/** What operations that name something take besides: bodies that are good, about what is not there. */
const BODIES: Readonly<Record<string, object>> = {
  endMemberSessions: reason,
  disableMember: reason,
  reinstateMember: reason,
  proposeDataSetAgreement: { fields: ['deviceId'] },
  uploadAttestationLetter: Buffer.from('%PDF-1.7\n%%EOF'),
  acceptAttestationLetter: {
    sha256: '0'.repeat(64),
    signedBy: { name: 'Иван Петров', position: 'Директор' },
    signedOn: '2026-01-01',
    validUntil: ahead(86_400_000).slice(0, 10),
    attests: ATTESTED,
  },
  withdrawAttestationLetter: { reason: 'found-false' },
  proposeLogExport: { reason: 'other-incident', from: ahead(-7_200_000), to: ahead(-3_600_000), dueDays: 5 },
  decideAccessReview: { decisions: [{ itemId: nobody, decision: 'confirm' }] },
  blockAccessPoint: reason,
  unblockAccessPoint: reason,
  releaseIdentificationLock: reason,
  setVisitingHours: { ...reason, rightKind: null, hours: [{ days: ['monday'], from: '08:00', to: '20:00' }] },
  removeVisitingHours: { ...reason, rightKind: null },
  holdErasure: { reason: 'dispute' },
  prolongErasureForReason: { reason: 'system-fault' },
  demandErasure: {
    requestedBy: 'self',
    identification: { method: 'identity-document', at: ahead(-60_000), reference: '1/26' },
  },
  placeResidentHold: { reason: 'dispute', reference: '1/26', until: ahead(86_400_000) },
  revokePartnerCredential: { direction: 'presented', name: 'client-secret' },
  downloadCredential: sealedTo,
  bringCertificate: { certificatePem: 'none' },
  issueOwnClientSecret: sealedTo,
  retireOwnClientSecrets: {},
  registerCredential: {
    name: 'message-key',
    keyId: 'k',
    publicKeyPem: generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  },
};
/** Refused whatever is there. */
const LOOKS_FOR_NOTHING = ['prolongErasure'];

const held = (role: string): string => (role === 'integration-manager' ? `${role}:smart-home` : role);
const pathOf = ({ path }: { path: string }): string =>
  `/staff/v1${path.replaceAll('{partnerId}', 'vizor').replaceAll(/\{\w+\}/g, randomUUID())}`;
/** Takes up no place in what the handler checks: what comes behind the gate is of no interest here. */
const REFUSED_AT_THE_GATE = ['/problems/unauthorized', '/problems/role', '/problems/csrf', '/problems/step-up'];

/**
 * What wants a proof of the last minutes: erasure, export, emergency rotation, and whatever gives or takes rights. Named
 * here and not taken from the operations, so that one that no longer asks for it is seen.
 */
const WITH_STEP_UP = [
  ...['demandErasure', 'approveErasure', 'releaseErasure', 'releaseResidentHold'],
  ...['setVisitingHours', 'removeVisitingHours'],
  ...['approveJournalExport', 'readJournalExport', 'getSignedJournalExport', 'approveLogExport', 'getLogExportPart'],
  ...['revokePartnerCredential', 'revokeTokenSigningKey', 'revokeMessageSigningKey'],
  ...['downloadCredential', 'bringCertificate', 'registerCredential'],
  ...['issueOwnClientSecret', 'retireOwnClientSecrets'],
  ...['endMemberSessions', 'disableMember', 'reinstateMember'],
  ...['openAccessReview', 'decideAccessReview', 'restoreReviewedRight'],
  ...['acceptAttestationLetter', 'withdrawAttestationLetter', 'approveDataSetAgreement'],
  ...['unblockAccessPoint', 'releaseIdentificationLock', 'liftClientSuspension'],
  ...['importPropertySaleFile', 'reverseStaffPropertySale'],
].toSorted();

describe('every staff endpoint', () => {
  let h: Harness;
  const members = new Map<string, StaffCaller>();
  beforeAll(async () => {
    h = await createHarness();
    for (const role of STAFF_ROLES) members.set(role, await staffMember(h, [held(role)]));
  }, 120_000);
  afterAll(() => h.close());

  const ask = (member: StaffCaller, operation: (typeof operations)[number], request: { csrfToken?: string } = {}) =>
    member.call(operation.method, pathOf(operation), operation.body ? { ...request, body: {} } : request);
  const of = (role: string): StaffCaller => members.get(role) as StaffCaller;

  // Ends the session that the others use, so it comes last.
  const walked = operations.toSorted((a, b) => Number(a.id === 'endStaffSession') - Number(b.id === 'endStaffSession'));
  const cases = walked.flatMap((operation) => STAFF_ROLES.map((role) => [operation.id, role, operation] as const));

  it('is there, each with a permission of the table', () => {
    expect(operations.length).toBeGreaterThan(10);
    for (const { permission } of operations) expect(Object.keys(PERMISSIONS)).toContain(permission);
    expect(new Set(operations.map(({ permission }) => permission))).toEqual(new Set(Object.keys(PERMISSIONS)));
  });

  it.each(walked.map((operation) => [operation.id, operation] as const))(
    '%s is refused without a session',
    async (_id, operation) => {
      const none = await staffMember(h, []);
      await h.owner.staffSession.update({ where: { id: none.sessionId }, data: { endedAt: new Date() } });
      expect(await ask(none, operation)).toMatchObject({ status: 401, body: { type: '/problems/unauthorized' } });
    },
  );

  it.each(walked.filter(({ method }) => method === 'post').map((operation) => [operation.id, operation] as const))(
    '%s is refused with a wrong CSRF token, with none and from another origin',
    async (_id, operation) => {
      const role = PERMISSIONS[operation.permission as keyof typeof PERMISSIONS][0];
      for (const request of [{ csrfToken: 'x'.repeat(43) }, { csrfToken: '' }, { origin: 'https://evil.example' }]) {
        const answer = await ask(of(role), operation, request);
        expect(answer).toMatchObject({ status: 403, body: { type: '/problems/csrf' } });
      }
    },
  );

  it('wants a fresh proof for what is named here, and for nothing else', () => {
    expect(operations.flatMap(({ id, stepUp }) => (stepUp ? [id] : [])).toSorted()).toEqual(WITH_STEP_UP);
  });

  it.each(WITH_STEP_UP)('%s is refused when the proof of who it is is older than five minutes', async (id) => {
    const operation = operations.find((each) => each.id === id) as (typeof operations)[number];
    const role = PERMISSIONS[operation.permission as keyof typeof PERMISSIONS][0];
    const stale = await staffMember(h, [held(role)], { authenticatedAt: new Date(Date.now() - 301_000) });
    expect(await ask(stale, operation)).toMatchObject({ status: 401, body: { type: '/problems/step-up' } });
  });

  it('says what it was that names nothing', async () => {
    const naming = operations.filter(({ path, id }) => path.includes('{') && !LOOKS_FOR_NOTHING.includes(id));
    expect(naming.length).toBeGreaterThan(35);
    const wrong: Record<string, unknown> = {};
    for (const { id, method, path, permission, body: kind } of naming) {
      const params = Array.from(path.matchAll(/\{(\w+)\}/g), ([, name = '']) => name);
      const body = BODIES[id] ?? (kind && {});
      const parts = [...params, ...Object.keys(body ?? {})];
      // Each a member of their own: so many requests at once are more than one is allowed.
      const member = await staffMember(h, [held(PERMISSIONS[permission as keyof typeof PERMISSIONS][0])]);
      // What is a partner's is looked for at one that is there, too.
      for (const partnerId of params.length > 1 && params.includes('partnerId') ? ['vizor', nobody] : [nobody]) {
        const valueOf = (name: string): string => (name === 'partnerId' ? partnerId : name === 'part' ? '1' : nobody);
        const named = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => valueOf(name));
        const answer = await member.call(method, `/staff/v1${named}`, body && { body });
        const fields = ((answer.body['errors'] ?? []) as { field: string }[]).map(({ field }) => field);
        const isNamed = fields.length > 0 && fields.every((field) => parts.includes(field.split('.')[0] ?? ''));
        if (answer.status !== 404 || !isNamed) wrong[`${id} ${partnerId}`] = answer.body;
      }
    }
    expect(wrong).toEqual({});
  });

  it.each(cases)('%s by %s is as the table says', async (_id, role, operation) => {
    const { status, body } = await ask(await staffMember(h, [held(role)]), operation);
    const allowed: readonly string[] = PERMISSIONS[operation.permission as keyof typeof PERMISSIONS];
    if (allowed.includes(role)) {
      expect(REFUSED_AT_THE_GATE).not.toContain(body['type']);
      expect(status).toBeLessThan(500);
    } else {
      expect({ status, type: body['type'] }).toEqual({ status: 403, type: '/problems/role' });
    }
  });

  it('has what it refused in the journal, as an exchange of that member', async () => {
    const operation = operations.find(({ id }) => id === 'unblockAccessPoint') as (typeof operations)[number];
    const allowed: readonly string[] = PERMISSIONS[operation.permission as keyof typeof PERMISSIONS];
    const [role = '', another = ''] = [allowed[0], STAFF_ROLES.find((each) => !allowed.includes(each))];
    const byRole = await staffMember(h, [held(another)]);
    const byPage = await staffMember(h, [held(role)]);
    const byAge = await staffMember(h, [held(role)], { authenticatedAt: new Date(Date.now() - 301_000) });
    await ask(byRole, operation);
    await ask(byPage, operation, { csrfToken: '' });
    await ask(byAge, operation);
    const actors = [byRole, byPage, byAge].map(({ memberId }) => `staff/${memberId}`);
    const where = { kind: 'exchange', reason: operation.id, actor: { in: actors } };
    await until('all three are written', async () => (await h.owner.journalEntry.count({ where })) >= 3);
    const written = await h.owner.journalEntry.findMany({ where });
    expect(new Map(written.map(({ actor, outcome }) => [actor, outcome]))).toEqual(
      new Map(actors.map((actor, index) => [actor, ['403', '403', '401'][index]])),
    );
    expect(written).toHaveLength(3);
  });

  it('is refused in a session that was idle for 15 minutes, is over, or has no second of its life left', async () => {
    const ago = (ms: number): Date => new Date(Date.now() - ms);
    for (const times of [{ lastSeenAt: ago(15 * 60_000 + 1_000) }, { expiresAt: ago(0) }]) {
      const late = await staffMember(h, ['operations'], times);
      expect((await late.call('get', '/staff/v1/session')).status).toBe(401);
    }
  });

  it('keeps a session alive that is used', async () => {
    const used = await staffMember(h, ['operations'], { lastSeenAt: new Date(Date.now() - 14 * 60_000) });
    const { lastSeenAt } = await h.owner.staffSession.findUniqueOrThrow({ where: { id: used.sessionId } });
    expect(Date.now() - lastSeenAt.getTime()).toBeLessThan(60_000);
  });

  it('shows its roles in the OpenAPI document', async () => {
    const { body } = await of('auditor').call('get', '/openapi.json');
    const paths = body['paths'] as Record<string, Record<string, Record<string, unknown>>>;
    for (const operation of operations) {
      const described = paths[`/staff/v1${operation.path}`]?.[operation.method];
      expect(described?.['x-roles']).toEqual([...PERMISSIONS[operation.permission as keyof typeof PERMISSIONS]]);
      expect(described?.['security']).toEqual([{ staff: [] }]);
    }
  });
});
