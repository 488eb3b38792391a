import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecurityAuditActivities } from '../../activities/security-audit';
import { auditCommand } from '../../cli/audit';
import { SERVER_TLS } from '../../config/tls';
import { SecurityAuditReport } from '../../contracts/security-audits';
import { readAdvisories } from '../../governance/advisories';
import { auditSecurity } from '../../governance/audit';
import { createExchangeJournal } from '../../journal/exchanges';
import { openDatabase, type Database } from '../../prisma/database';
import { ensureCertificates, type Certificates } from '../../stack/certificates';
import { HEAD_TYPE } from '../../journal/head';
import { signDocument } from '../../vault/document-signature';
import { hashSecret } from '../../vault/secret-hash';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { newDocumentSigner } from '../support/journal';

const DAY = 86_400_000;
const now = Date.now();
const ago = (days: number): Date => new Date(now - days * DAY);
const SECRET = 'a secret that nobody may see';
const none = () => Promise.resolve({ counts: { total: 0 }, packages: [] });

describe('a security audit', () => {
  let db: TestDatabase;
  let owner: Database;
  let auditor: Database;
  let core: Database;
  let certificates: Certificates;
  const servers: Server[] = [];
  beforeAll(async () => {
    db = await createTestDatabase();
    owner = openDatabase(db.ownerUrl, 2);
    auditor = openDatabase(db.urlFor('domovoy_auditor'), 2);
    core = openDatabase(db.urlFor('domovoy_core'), 2);
    certificates = await ensureCertificates(mkdtempSync(join(tmpdir(), 'domovoy-audit-')));
    const shared = { integration: 'smart-home', displayName: 'P', custody: 'partner', agreedFields: [] };
    const certificatePem = readFileSync(certificates.ourClient.certificate, 'utf8');
    await owner.partner.createMany({
      data: [
        { id: 'good', ...shared, profile: { certificatePem }, attestedUntil: ago(-100) },
        { id: 'late', ...shared, profile: {}, attestedUntil: ago(20) },
        { id: 'off', ...shared, profile: {}, active: false },
      ],
    });
    const secret = { owner: 'good', integration: 'smart-home', keyId: 'k', wrapped: Buffer.from(SECRET) };
    await owner.secret.createMany({
      data: [
        { ...secret, name: 'password', version: 1, state: 'active', createdAt: ago(29) },
        { ...secret, name: 'signing-key', version: 2, state: 'active', createdAt: ago(31) },
        { ...secret, name: 'signing-key', version: 1, state: 'retired', createdAt: ago(90) },
        { ...secret, owner: 'off', name: 'password', version: 1, state: 'active', createdAt: ago(50) },
      ],
    });
    await owner.oAuthClient.create({
      data: {
        ...{ id: 'good', audience: 'partner', partnerId: 'good', authMethod: 'basic_signed', scopes: ['obligations'] },
        ...{ secretHashes: [hashSecret(SECRET)], createdAt: ago(40) },
      },
    });
    const announced = { integration: 'smart-home', name: 'message-key', announcedBy: 'good', publicPem: SECRET };
    await owner.partnerCredential.createMany({
      data: [
        { ...announced, partnerId: 'good', keyId: 'good-1', version: 1, state: 'retired', announcedAt: ago(42) },
        { ...announced, partnerId: 'good', keyId: 'good-2', version: 2, state: 'active', announcedAt: ago(12) },
        { ...announced, partnerId: 'late', keyId: 'late-1', version: 1, state: 'active', announcedAt: ago(35) },
      ],
    });
    await owner.oAuthClient.create({
      data: {
        ...{ id: 'late', audience: 'partner', partnerId: 'late', authMethod: 'tls_client_auth', scopes: [] },
        secretHashes: [],
      },
    });
    const own = { audience: 'app', authMethod: 'client_secret_basic', scopes: [], createdAt: ago(300) };
    await owner.oAuthClient.createMany({
      data: [
        { ...own, id: 'app', secretIssuedAt: ago(20) },
        { ...own, id: 'registry', audience: 'registry' },
      ],
    });
    const ownKey = { keyId: 'k', wrapped: Buffer.from(SECRET) };
    await owner.ownSigningKey.createMany({
      data: [
        { ...ownKey, purpose: 'token', version: 1, kid: 't1', state: 'signing', createdAt: ago(3) },
        { ...ownKey, purpose: 'message', version: 2, kid: 'm2', state: 'signing', createdAt: ago(31) },
        { ...ownKey, purpose: 'message', version: 1, kid: 'm1', state: 'retired', createdAt: ago(60) },
      ],
    });
    const signer = newDocumentSigner();
    const head = (treeSize: bigint, at: Date, by: typeof signer) => ({
      ...{ treeSize, at, rootHash: Buffer.alloc(32) },
      document: signDocument(by, HEAD_TYPE, { treeSize: Number(treeSize) }),
    });
    await owner.journalHead.createMany({
      data: [head(1n, ago(400), newDocumentSigner()), head(2n, ago(45), signer), head(3n, ago(1), signer)],
    });
    const member = { issuer: 'i', roles: ['operations'], withdrawnRoles: [] };
    await owner.staffMember.createMany({
      data: [
        { ...member, id: ACTIVE, subject: 'active', createdAt: ago(200), lastSignInAt: ago(3) },
        { ...member, id: STALE, subject: 'stale', createdAt: ago(200), lastSignInAt: ago(91) },
        { ...member, id: randomUUID(), subject: 'gone', status: 'disabled', lastSignInAt: ago(300) },
      ],
    });
    await owner.journalEntry.createMany({
      data: [1, 2, 3].map(() => ({ kind: 'staff-sign-in', outcome: 'refused', reason: 'second-factor-missing' })),
    });
  });
  afterAll(async () => {
    for (const server of servers) server.close();
    await Promise.all([owner, auditor, core].map((each) => each.$disconnect()));
    await db.drop();
  });
  const ACTIVE = randomUUID();
  const STALE = randomUUID();

  const verdicts = (report: SecurityAuditReport, check: string) =>
    Object.fromEntries(
      report.findings.filter((each) => each.check === check).map(({ subject, verdict }) => [subject ?? '', verdict]),
    );

  it('finds what is too old, unused, unreviewed or without a letter, and passes what is not', async () => {
    const report = await auditSecurity(auditor, { nowMs: now, advisories: none });
    expect(verdicts(report, 'credential-age')).toEqual({
      'good/password': 'passed',
      'good/signing-key': 'failed',
      'good/client/good': 'failed',
      'off/password': 'failed',
      'late/announced/message-key': 'failed',
      'good/announced/message-key': 'passed',
      'domovoy/token-signing-key': 'passed',
      'domovoy/message-signing-key': 'failed',
      // A person replaces these.
      'domovoy/document-signing-key': 'warning',
      'domovoy/client/app': 'passed',
      'domovoy/client/registry': 'warning',
    });
    expect(report.credentials).toContainEqual({
      ...{ owner: 'domovoy', name: 'document-signing-key', ageDays: 45, heldBy: 'us' },
    });
    expect(verdicts(report, 'credential-pinned')).toEqual({
      'good/message-key': 'passed',
      'late/client-certificate': 'warning',
    });
    expect(report.findings.find(({ check }) => check === 'secrets-by-fast-hash')).toMatchObject({
      ...{ verdict: 'warning', says: 'good' },
    });
    expect(verdicts(report, 'account-in-use')).toEqual({ [ACTIVE]: 'passed', [STALE]: 'failed' });
    expect(verdicts(report, 'attestation-letter')).toEqual({ good: 'passed', late: 'failed' });
    expect(verdicts(report, 'rights-reviewed')).toEqual({ '': 'failed' });
    expect(verdicts(report, 'client-certificate')['good']).toMatch(/passed|warning/);
    expect(report.failedChecks).toContainEqual({ what: 'staff-sign-in refused second-factor-missing', count: 3 });

    const dueAt = ago(30);
    const review = { id: randomUUID(), workflowId: 'w', openedAt: ago(51), dueAt, closedAt: dueAt, state: 'closed' };
    await owner.accessReview.create({ data: review });
    const after = await auditSecurity(auditor, { nowMs: now, advisories: none });
    expect(verdicts(after, 'rights-reviewed')).toEqual({ '': 'passed' });
    const later = await auditSecurity(auditor, { nowMs: now + 100 * DAY, advisories: none });
    expect(verdicts(later, 'rights-reviewed')).toEqual({ '': 'failed' });
    expect(verdicts(later, 'account-in-use')).toEqual({ [ACTIVE]: 'failed', [STALE]: 'failed' });
    expect(verdicts(later, 'journal-sealed')).toEqual({ '': 'failed' });
  });

  it('looks at the client certificate that is in use: that of the settings until the first rotation only', async () => {
    const key = { owner: 'good', integration: 'smart-home', name: 'tls-key', keyId: 'k', wrapped: Buffer.from(SECRET) };
    const says = async (nowMs: number) => {
      const { findings } = await auditSecurity(auditor, { nowMs, advisories: none });
      return findings.find(({ check, subject }) => check === 'client-certificate' && subject === 'good')?.says;
    };
    const verdict = async (nowMs: number) =>
      verdicts(await auditSecurity(auditor, { nowMs, advisories: none }), 'client-certificate')['good'];
    await owner.secret.create({ data: { ...key, version: 1, state: 'active', createdAt: ago(23) } });
    expect(await says(now)).toMatch(/^ends in (89|90) days$/);

    await owner.secret.updateMany({ where: { name: 'tls-key' }, data: { state: 'retired' } });
    const second = { ...key, version: 2, state: 'active', createdAt: ago(1), endsAt: ago(-40) };
    await owner.secret.create({ data: second });
    expect([await says(now), await verdict(now)]).toEqual(['ends in 40 days', 'passed']);
    expect(await verdict(now + 41 * DAY)).toBe('failed');
    // It has to outlive the thirty days of its key.
    await owner.secret.updateMany({ where: { version: 2, name: 'tls-key' }, data: { endsAt: ago(-20) } });
    expect(await verdict(now)).toBe('failed');
    // That of the settings is over by then, and nothing uses it.
    const later = { createdAt: ago(-95), endsAt: ago(-180) };
    await owner.secret.updateMany({ where: { version: 2, name: 'tls-key' }, data: later });
    expect(await verdict(now + 100 * DAY)).toBe('passed');
    await owner.secret.deleteMany({ where: { name: 'tls-key' } });
  });

  it('counts who was not let in as often as they came, by why and not by who', async () => {
    const exchanges = createExchangeJournal(owner, () => undefined);
    for (let times = 0; times < 12; times++)
      exchanges.refused({ code: 'credentials', network: '1', name: 'abcdefghij' });
    for (const network of ['1', '2', '2']) exchanges.refused({ code: 'signature', network });
    await exchanges.close();
    const { failedChecks } = await auditSecurity(auditor, { nowMs: now, advisories: none });
    expect(failedChecks.filter(({ what }) => what.startsWith('refusal'))).toEqual([
      { what: 'refusal credentials', count: 12 },
      { what: 'refusal signature', count: 3 },
    ]);
  });

  it('tells neither a secret nor a hash, and its login could not read one', async () => {
    const report = JSON.stringify(await auditSecurity(auditor, { nowMs: now, advisories: none }));
    expect(report).not.toContain(SECRET);
    expect(report).not.toContain(hashSecret(SECRET));
    await expect(auditor.$queryRaw`SELECT wrapped FROM secrets`).rejects.toThrow(/permission denied/);
    await expect(auditor.$queryRaw`SELECT secret_hashes FROM oauth_clients`).rejects.toThrow(/permission denied/);
    await expect(auditor.$queryRaw`SELECT wrapped FROM own_signing_keys`).rejects.toThrow(/permission denied/);
    await expect(auditor.$queryRaw`SELECT subject FROM staff_members`).rejects.toThrow(/permission denied/);
  });

  it.each([
    ['that cannot be asked', '{"message":"405 Method Not Allowed","error":{}}', 'not-checked'],
    ['that answers with no JSON', '<html>', 'not-checked'],
    ['that knows of nothing', advisoriesOf({}), 'passed'],
    ['that knows of something small', advisoriesOf({ a: 'low' }), 'passed'],
    ['that knows of something grave', advisoriesOf({ a: 'low', b: 'critical' }), 'failed'],
  ])('says of a database of advisories %s what came of it', async (_which, output, verdict) => {
    const report = await auditSecurity(auditor, {
      nowMs: now,
      advisories: () => Promise.resolve(readAdvisories(output)),
    });
    expect(verdicts(report, 'dependency-advisories')).toEqual({ '': verdict });
  });

  it('is kept and told of once, when it is made by schedule', async () => {
    const activities = createSecurityAuditActivities({ database: core, advisories: none });
    const auditId = randomUUID();
    const at = new Date(now).toISOString();
    const first = await activities.makeSecurityAudit(auditId, at);
    expect(await activities.makeSecurityAudit(auditId, at)).toEqual(first);
    expect(first.failed).toBeGreaterThan(2);
    const kept = await owner.securityAudit.findUniqueOrThrow({ where: { id: auditId } });
    expect(SecurityAuditReport.parse(kept.report).findings.length).toBeGreaterThan(10);
    expect(await owner.securityAlert.findMany({ where: { objectId: auditId } })).toMatchObject([
      { kind: 'security-audit', scope: 'failed' },
    ]);
  });

  describe('by the command', () => {
    let printed: string[] = [];
    beforeEach(() => {
      printed = [];
      jest.spyOn(console, 'log').mockImplementation((line: string) => void printed.push(line));
    });
    afterEach(() => jest.restoreAllMocks());
    const run = (...args: string[]) =>
      auditCommand()
        .exitOverride()
        .configureOutput({ writeErr: () => undefined })
        .parseAsync([...args, '--no-advisories', '--database', db.urlFor('domovoy_auditor')], { from: 'user' });

    async function serve(options: ServerOptions): Promise<string> {
      const keys = { key: readFileSync(certificates.api.key), cert: readFileSync(certificates.api.certificate) };
      const server = createServer({ ...keys, ...options });
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
      return `https://localhost:${(server.address() as AddressInfo).port.toString()}`;
    }

    it('ends with an error that counts what failed, as lines or as JSON', async () => {
      await expect(run()).rejects.toThrow(/^\d+ checks failed\.$/);
      expect(printed).toContain('[FAIL] credential-age good/signing-key - 31 days old');
      expect(printed.join('\n')).toContain('dependency-advisories - the database of advisories could not be asked');
      printed = [];
      await expect(run('--json')).rejects.toThrow('checks failed');
      expect(SecurityAuditReport.parse(JSON.parse(printed.join('\n'))).findings.length).toBeGreaterThan(10);
    });

    it('tries the TLS of the API: ours passes, and one that takes old versions fails', async () => {
      const weak = { minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' } as const;
      const addresses = [await serve(SERVER_TLS), await serve(weak)];
      const old: unknown[] = [];
      for (const address of addresses) {
        printed = [];
        await run('--json', '--api', address, '--ca', certificates.companyCa).catch(() => undefined);
        const report = SecurityAuditReport.parse(JSON.parse(printed.join('\n')));
        expect(Object.values(verdicts(report, 'tls-connection'))).toEqual(['passed']);
        old.push(...Object.values(verdicts(report, 'tls-old-version-refused')));
      }
      expect(old).toEqual(['passed', 'failed']);
      printed = [];
      await run('--json', '--api', addresses[0] ?? '').catch(() => undefined);
      const untrusted = SecurityAuditReport.parse(JSON.parse(printed.join('\n')));
      expect(Object.values(verdicts(untrusted, 'tls-connection'))).toEqual(['failed']);
    });
  });
});

function advisoriesOf(severities: Record<string, string>): string {
  const counts: Record<string, number> = { total: Object.keys(severities).length };
  for (const severity of Object.values(severities)) counts[severity] = (counts[severity] ?? 0) + 1;
  const vulnerabilities = Object.fromEntries(
    Object.entries(severities).map(([name, severity]) => [name, { severity }]),
  );
  return JSON.stringify({ metadata: { vulnerabilities: counts }, vulnerabilities });
}
