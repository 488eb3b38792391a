import { X509Certificate } from 'node:crypto';
import { attestationStanding } from '../access/attestation';
import { SERVER_TLS } from '../config/tls';
import { CREDENTIAL_LIFE_MS } from '../contracts/credentials';
import type { AuditFinding, AuditVerdict, SecurityAuditReport } from '../contracts/security-audits';
import { countRefusals } from '../journal/refusals';
import { sql, type Database } from '../prisma/database';
import { GRAVE, type Advisories } from './advisories';
import { credentialsOfPersons, dueAt, rotatingCredentials, type HeldCredential } from './held-credentials';

const DAY_MS = 86_400_000;
/** A certificate that comes from the settings is replaced by a person, who wants to know in time. */
const CERTIFICATE_DAYS = { warning: 30, failed: 14 };
/** Somebody who has not signed in for so long, and a client that has not come, may have no use for what they hold. */
const STALE_DAYS = 90;
/** A quarter, the three weeks of a campaign, and some days. */
const REVIEW_DAYS = 120;
const ALERT_DAYS = 7;
const WINDOW_DAYS = 30;
/** Heads are signed every minute while there is something to sign; half an hour without one is a stopped sealer. */
const PENDING_MINUTES = 30;

/** What the audit is made of besides the database. */
export type AuditSources = {
  readonly nowMs: number;
  readonly advisories: () => Promise<Advisories>;
  /** Of the running API's TLS, when it was asked. */
  readonly connection?: readonly AuditFinding[];
};

/**
 * Looks at who holds what since when, at what has gone wrong and at how things are set (R4.6). Reads only, with whatever
 * the login may see: the roles `domovoy_auditor` and `domovoy_core` see all of it, and neither a secret nor a hash.
 */
export async function auditSecurity(database: Database, sources: AuditSources): Promise<SecurityAuditReport> {
  const { nowMs } = sources;
  const days = (at: Date): number => Math.floor((nowMs - at.getTime()) / DAY_MS);
  const [rotating, ofPersons, clients, members] = await Promise.all([
    rotatingCredentials(database),
    credentialsOfPersons(database),
    clientsOf(database, days),
    membersOf(database, days),
  ]);
  const findings = [
    ...rotating.map((each) => ageFinding(each, 'failed', nowMs)),
    ...ofPersons.map((each) => ageFinding(each, 'warning', nowMs)),
    ...(await pinFindings(database)),
    await hashFinding(database),
    ...(await partnerFindings(database, nowMs)),
    ...members.map(({ memberId, lastSignInDays }) =>
      finding(
        'account-in-use',
        memberId,
        lastSignInDays > STALE_DAYS ? 'failed' : 'passed',
        `signed in ${lastSignInDays.toString()} days ago`,
      ),
    ),
    ...clients.flatMap(({ clientId, lastSecretSeenDays: seen }) =>
      seen !== null && seen > STALE_DAYS
        ? [finding('client-in-use', clientId, 'warning', `showed no new secret for ${seen.toString()} days`)]
        : [],
    ),
    ...(await reviewFindings(database, nowMs)),
    ...(await openMatters(database, nowMs)),
    await keyFinding(database),
    await journalFinding(database, nowMs),
    ...settingFindings(),
    ...(sources.connection ?? [finding('tls-connection', null, 'not-checked', 'no address of the API was given')]),
    advisoryFinding(await sources.advisories()),
  ];
  return {
    at: new Date(nowMs).toISOString(),
    findings,
    credentials: [...rotating, ...ofPersons].map(({ owner, name, issuedAt, heldBy }) => ({
      owner,
      name,
      ageDays: days(issuedAt),
      heldBy,
    })),
    rights: { members, clients },
    failedChecks: await failedChecks(database, nowMs),
    settings: SETTINGS,
  };
}

/** Algorithms and versions in use, as the code has them. */
const SETTINGS = {
  'tls.minimum': SERVER_TLS.minVersion,
  'tls.ciphers': SERVER_TLS.ciphers,
  'tls.groups': SERVER_TLS.ecdhCurve,
  'at-rest': 'AES-256-GCM',
  'tokens.signature': 'EdDSA (Ed25519)',
  'documents.signature': 'EdDSA (Ed25519)',
  'messages.signature': 'Ed25519 (RFC 9421)',
};

export const finding = (check: string, subject: string | null, verdict: AuditVerdict, says: string): AuditFinding => ({
  check,
  subject,
  verdict,
  says,
});

type Days = (at: Date) => number;

/** @param tooOld what it is when its life is over (R0.6) */
function ageFinding(held: HeldCredential, tooOld: AuditVerdict, nowMs: number): AuditFinding {
  const ageDays = Math.floor((nowMs - held.issuedAt.getTime()) / DAY_MS);
  // The day on which it is replaced is not over yet.
  const isOver = nowMs >= dueAt(held).getTime() + DAY_MS;
  const subject = `${held.owner}/${held.name}`;
  return finding('credential-age', subject, isOver ? tooOld : 'passed', `${ageDays.toString()} days old`);
}

/**
 * Whether partners that prove themselves by what they make are held to it: until the first of it has been seen, a
 * certificate is good by its name alone, and message keys are those of the settings (docs/adr/0040).
 */
async function pinFindings(database: Database): Promise<AuditFinding[]> {
  const clients = await database.oAuthClient.findMany({
    where: { active: true, partnerId: { not: null }, authMethod: { in: ['tls_client_auth', 'basic_signed'] } },
    select: { partnerId: true, authMethod: true },
    orderBy: { id: 'asc' },
  });
  const known = await database.partnerCredential.findMany({ select: { partnerId: true, name: true } });
  return clients.map(({ partnerId, authMethod }) => {
    const name = authMethod === 'tls_client_auth' ? 'client-certificate' : 'message-key';
    const isPinned = known.some((each) => each.partnerId === partnerId && each.name === name);
    const says = isPinned ? 'only what was announced is good' : 'none has been seen yet';
    return finding('credential-pinned', `${partnerId ?? ''}/${name}`, isPinned ? 'passed' : 'warning', says);
  });
}

/** A fast hash is of a secret that nobody has shown for a while: it changes over when it is used (docs/adr/0041). */
async function hashFinding(database: Database): Promise<AuditFinding> {
  const rows = await database.$queryRaw<{ client_id: string }[]>(sql`SELECT client_id FROM clients_with_fast_hashes()`);
  const says = rows.length === 0 ? 'none' : rows.map(({ client_id: id }) => id).join(', ');
  return finding('secrets-by-fast-hash', null, rows.length === 0 ? 'passed' : 'warning', says);
}

async function clientsOf(database: Database, days: Days): Promise<SecurityAuditReport['rights']['clients']> {
  const rows = await database.oAuthClient.findMany({
    where: { active: true },
    select: { id: true, scopes: true },
    orderBy: { id: 'asc' },
  });
  const seen = await database.secretSighting.groupBy({ by: ['clientId'], _max: { seenAt: true } });
  return rows.map(({ id: clientId, scopes }) => {
    const at = seen.find((each) => each.clientId === clientId)?._max.seenAt;
    return { clientId, scopes, lastSecretSeenDays: at ? days(at) : null };
  });
}

async function membersOf(database: Database, days: Days): Promise<SecurityAuditReport['rights']['members']> {
  const rows = await database.staffMember.findMany({
    where: { status: 'active' },
    select: { id: true, roles: true, withdrawnRoles: true, lastSignInAt: true },
    orderBy: { id: 'asc' },
  });
  return rows.flatMap(({ id: memberId, roles: claimed, withdrawnRoles, lastSignInAt }) => {
    const roles = claimed.filter((role) => !withdrawnRoles.includes(role));
    return roles.length === 0 ? [] : [{ memberId, roles, lastSignInDays: days(lastSignInAt) }];
  });
}

async function partnerFindings(database: Database, nowMs: number): Promise<AuditFinding[]> {
  const rows = await database.partner.findMany({
    where: { active: true },
    select: { id: true, profile: true, attestedUntil: true },
    orderBy: { id: 'asc' },
  });
  const certificates = await database.secret.findMany({
    where: { name: 'tls-key', state: 'active' },
    select: { owner: true, endsAt: true, createdAt: true },
  });
  return rows.flatMap(({ id, profile, attestedUntil }) => {
    const standing = attestationStanding(attestedUntil?.getTime() ?? null, nowMs);
    const letter = {
      valid: 'passed',
      ending: 'passed',
      grace: 'warning',
      suspended: 'failed',
      missing: 'failed',
    } as const;
    const inUse = certificates.find(({ owner }) => owner === id);
    return [
      finding('attestation-letter', id, letter[standing], standing),
      ...(inUse?.endsAt ? [rotatedCertificate(id, inUse, nowMs)] : configuredCertificate(id, profile, nowMs)),
    ];
  });
}

/** It came with its key by a rotation: it has to last as long as that is in use (R0.6). */
function rotatedCertificate(
  partnerId: string,
  { endsAt, createdAt }: { endsAt: Date | null; createdAt: Date },
  nowMs: number,
): AuditFinding {
  const endMs = endsAt?.getTime() ?? 0;
  const left = Math.floor((endMs - nowMs) / DAY_MS);
  const isGood = endMs > nowMs && endMs >= createdAt.getTime() + CREDENTIAL_LIFE_MS;
  return finding('client-certificate', partnerId, isGood ? 'passed' : 'failed', `ends in ${left.toString()} days`);
}

/** Until the first rotation the certificate is that of the settings; from then on nothing uses that one. */
function configuredCertificate(partnerId: string, profile: unknown, nowMs: number): AuditFinding[] {
  const pem = (profile as { certificatePem?: unknown } | null)?.certificatePem;
  if (typeof pem !== 'string') return [];
  return [certificateVerdict(partnerId, pem, nowMs)];
}

function certificateVerdict(subject: string, pem: string, nowMs: number): AuditFinding {
  try {
    return certificateEnd('client-certificate', subject, new Date(new X509Certificate(pem).validTo), nowMs);
  } catch {
    return finding('client-certificate', subject, 'failed', 'cannot be read');
  }
}

export function certificateEnd(check: string, subject: string | null, validTo: Date, nowMs: number): AuditFinding {
  const left = Math.floor((validTo.getTime() - nowMs) / DAY_MS);
  const verdict = left < CERTIFICATE_DAYS.failed ? 'failed' : left < CERTIFICATE_DAYS.warning ? 'warning' : 'passed';
  return finding(check, subject, verdict, `ends in ${left.toString()} days`);
}

async function reviewFindings(database: Database, nowMs: number): Promise<AuditFinding[]> {
  const last = await database.accessReview.findFirst({ where: { state: 'closed' }, orderBy: { closedAt: 'desc' } });
  const overdue = await database.accessReview.count({
    where: { state: 'open', dueAt: { lt: new Date(nowMs - DAY_MS) } },
  });
  const oldest = await database.staffMember.findFirst({
    where: { status: 'active' },
    orderBy: { createdAt: 'asc' },
    select: { createdAt: true },
  });
  const since = last?.closedAt ?? oldest?.createdAt ?? new Date(nowMs);
  const ageDays = Math.floor((nowMs - since.getTime()) / DAY_MS);
  const says = last ? `rights were reviewed ${ageDays.toString()} days ago` : `never in ${ageDays.toString()} days`;
  return [
    finding('rights-reviewed', null, ageDays > REVIEW_DAYS ? 'failed' : 'passed', says),
    finding('review-in-time', null, overdue > 0 ? 'failed' : 'passed', `${overdue.toString()} campaigns are overdue`),
  ];
}

/** What waits for a person for too long. */
async function openMatters(database: Database, nowMs: number): Promise<AuditFinding[]> {
  const before = new Date(nowMs - ALERT_DAYS * DAY_MS);
  const [alerts, escalations, overdue] = await Promise.all([
    database.securityAlert.count({ where: { acknowledgedAt: null, raisedAt: { lt: before } } }),
    database.escalation.count({ where: { resolvedAt: null, raisedAt: { lt: before } } }),
    database.logExportDemand.count({
      where: { status: { in: ['demanded', 'overdue'] }, dueAt: { lt: new Date(nowMs) } },
    }),
  ]);
  const counted = (check: string, count: number, verdict: AuditVerdict): AuditFinding =>
    finding(check, null, count > 0 ? verdict : 'passed', count.toString());
  return [
    counted('alerts-acknowledged', alerts, 'failed'),
    counted('escalations-resolved', escalations, 'warning'),
    counted('log-exports-in-time', overdue, 'failed'),
  ];
}

async function keyFinding(database: Database): Promise<AuditFinding> {
  // What partners show us has no value here once it is in use, and so no key.
  const keys = await database.secret.groupBy({
    by: ['keyId'],
    where: { state: { not: 'retired' }, NOT: { name: { startsWith: 'client/' }, state: 'active' } },
  });
  const verdict = keys.length > 1 ? 'warning' : 'passed';
  return finding('one-key-encryption-key', null, verdict, `${keys.length.toString()} in use for secrets`);
}

async function journalFinding(database: Database, nowMs: number): Promise<AuditFinding> {
  const oldest = await database.journalEntry.findFirst({
    where: {
      seq: {
        in: (await database.journalPending.findMany({ orderBy: { entrySeq: 'asc' }, take: 1 })).map(
          (row) => row.entrySeq,
        ),
      },
    },
    select: { at: true },
  });
  const minutes = oldest ? Math.floor((nowMs - oldest.at.getTime()) / 60_000) : 0;
  const says = oldest ? `an entry waits for ${minutes.toString()} minutes` : 'nothing waits';
  return finding('journal-sealed', null, minutes > PENDING_MINUTES ? 'failed' : 'passed', says);
}

/** TLS 1.2 and newer with forward secrecy and authenticated encryption only (R1.1, R2.1; RFC 9325). */
function settingFindings(): AuditFinding[] {
  const weak = SERVER_TLS.ciphers
    .split(':')
    .filter((cipher) => !/^(TLS_(AES|CHACHA20)|ECDHE-.*(GCM|CHACHA20))/.test(cipher));
  const isOld = !['TLSv1.2', 'TLSv1.3'].includes(SERVER_TLS.minVersion);
  return [
    finding('tls-version', null, isOld ? 'failed' : 'passed', SERVER_TLS.minVersion),
    finding(
      'tls-ciphers',
      null,
      weak.length > 0 ? 'failed' : 'passed',
      weak.join(', ') || 'forward secrecy, authenticated',
    ),
  ];
}

function advisoryFinding(advisories: Advisories): AuditFinding {
  const check = 'dependency-advisories';
  if ('why' in advisories) {
    return finding(check, null, 'not-checked', `the database of advisories could not be asked: ${advisories.why}`);
  }
  const { counts, packages } = advisories;
  const grave = GRAVE.reduce((sum, severity) => sum + (counts[severity] ?? 0), 0);
  const says = `${(counts['total'] ?? 0).toString()} known, ${grave.toString()} high or critical`;
  return finding(check, null, grave > 0 ? 'failed' : 'passed', [says, ...packages].join(', '));
}

/** Refusals by what they were about, most frequent first. */
async function failedChecks(database: Database, nowMs: number): Promise<SecurityAuditReport['failedChecks']> {
  const since = new Date(nowMs - WINDOW_DAYS * DAY_MS);
  const refused = await database.journalEntry.groupBy({
    by: ['kind', 'outcome', 'reason'],
    where: {
      at: { gte: since },
      OR: [
        { kind: { notIn: ['exchange', 'credential'] }, outcome: { in: ['refused', 'denied', 'failed', 'alert'] } },
        { kind: 'exchange', outcome: { in: ['401', '403', '409', '429', '500', '502', '503'] } },
      ],
    },
    _count: true,
  });
  const strangers = await countRefusals(database, since);
  return refused
    .map(({ kind, outcome, reason, _count: count }) => ({
      what: [kind, outcome, reason].filter((word) => word !== null).join(' '),
      count,
    }))
    .concat(strangers.map(({ code, times: count }) => ({ what: `refusal ${code}`, count })))
    .sort((a, b) => b.count - a.count || (a.what < b.what ? -1 : 1))
    .slice(0, 50);
}
