import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { projectFile } from '../../config/project-root';
import { openDatabase } from '../../prisma/database';
import { postgresUrl } from '../postgres';
import { DATABASE, LOGINS } from '../processes';
import type { Stack } from '../stack';
import { plainPdf } from '../plain-pdf';
import { partnerById, STAFF } from '../town';
import { createClient } from './http';
import type { Sandbox } from './sandbox-control';
import type { StaffBrowser } from './staff-browser';
import { signIn } from './staff-chapter';
import type { Teller } from './teller';

type GovernanceCast = {
  readonly teller: Teller;
  readonly sandbox: Sandbox;
  readonly stack: Stack;
  readonly openBrowser: () => StaffBrowser;
  readonly passwords: (username: string) => string;
};

const WITHIN_MS = 60_000;
const partner = partnerById('kluch');

/** Letters, reviews, logs and audits: who answers for what, and what happens to who does not (R3.5, R3.6, R4.3, R4.6). */
export async function tellGovernance(cast: GovernanceCast): Promise<void> {
  const { teller, sandbox, stack } = cast;
  const [security, compliance, auditor] = [cast.openBrowser(), cast.openBrowser(), cast.openBrowser()];
  const step = (name: string, asked: string, expected: string, play: () => Promise<string>) =>
    teller.step({ name, profile: 'staff', asked, expected }, async () => ({ outcome: await play() }));
  const letters = `/staff/v1/partners/${partner.id}/attestation-letters`;
  const logExports = `/staff/v1/partners/${partner.id}/log-exports`;
  teller.chapter('Who answers for what: letters, reviews of rights, logs, audits');
  try {
    await signIn(cast, security, 'security');
    await signIn(cast, compliance, 'compliance');
    await signIn(cast, auditor, 'auditor');
    await step(
      "a partner's new letter is handed in by one and accepted by another",
      `POST ${letters}`,
      'in-force',
      () => acceptLetter(security, compliance, letters),
    );
    await step('the partner reads how long it may use biometrics', 'GET /partner/v1/obligations', 'valid', async () => {
      const { body } = await sandbox.readCompany(partner.id, '/partner/v1/obligations');
      return String((body['attestation'] as Record<string, unknown> | undefined)?.['standing']);
    });
    await step(
      "a part of the partner's log is demanded, delivered and compared",
      `POST ${logExports}`,
      'received and compared',
      () => demandLogs(cast, security, compliance, logExports),
    );
    await step('a reviewer takes a role from somebody: gone with the next request', 'POST …/decisions', 'refused', () =>
      takeRole(security, compliance, auditor),
    );
    await step('and another gives it back', 'POST …/restoration', 'reads again', () =>
      giveRoleBack(compliance, auditor),
    );
    await step('the identity provider reports that somebody has left', 'a security event token', 'signed out', () =>
      leave(stack, auditor),
    );
    await step('domovoy audit', 'domovoy audit --json --api …', 'looked at everything', () => audit(stack));
  } finally {
    // Who left in the story is back for the next one.
    await comeBack(stack).catch(() => undefined);
    await Promise.allSettled([security, compliance, auditor].map((browser) => browser.close()));
  }
}

async function acceptLetter(first: StaffBrowser, second: StaffBrowser, letters: string): Promise<string> {
  const uploaded = await first.upload(letters, plainPdf('Audited, analyzed for vulnerabilities, in line with 152-FZ'));
  const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
  const { body } = await second.post(`${letters}/${String(uploaded.body['letterId'])}/acceptance`, {
    sha256: uploaded.body['sha256'],
    signedBy: { name: 'Ксения Образцова', position: 'Генеральный директор' },
    signedOn: day(-1),
    validUntil: day(300),
    attests: ['infrastructure-and-services-audited', 'vulnerability-analysis', 'federal-law-152'],
  });
  return String(body['status'] ?? body['type']);
}

async function demandLogs(
  { stack }: GovernanceCast,
  first: StaffBrowser,
  second: StaffBrowser,
  logExports: string,
): Promise<string> {
  const [from, to] = [Date.now() - 600_000, Date.now()].map((at) => new Date(at).toISOString());
  const proposed = await first.post(logExports, { reason: 'unauthorized-opening', from, to, dueDays: 3 });
  const demandId = String(proposed.body['demandId']);
  await second.post(`${logExports}/${demandId}/approval`);
  const http = createClient(null);
  const control = `http://127.0.0.1:${stack.ports.sandboxControl.toString()}`;
  const json = { 'content-type': 'application/json' };
  await http.send(`${control}/partners/${partner.id}/log-exports`, { method: 'POST', headers: json, body: '{}' });
  await http.close();
  const { body } = await first.get(logExports);
  const found = (body['logExports'] as Record<string, unknown>[]).find((each) => each['demandId'] === demandId);
  // An order whose process was ended before it left is a gap, and rightly so.
  const isCompared = found?.['status'] === 'received' && found['comparison'] !== null;
  return isCompared ? 'received and compared' : String(found?.['status']);
}

const REVIEWS = '/staff/v1/access-reviews';
type Right = { itemId: string; holder: string; granted: string; decision: string | null };
let taken: { reviewId: string; itemId: string } | undefined;

async function takeRole(first: StaffBrowser, second: StaffBrowser, auditor: StaffBrowser): Promise<string> {
  const reviewId = String((await first.post(REVIEWS)).body['reviewId']);
  const { body: session } = await auditor.get('/staff/v1/session');
  for (const untilMs = Date.now() + WITHIN_MS; Date.now() < untilMs;) {
    const { status, body } = await second.get(`${REVIEWS}/${reviewId}`);
    if (status === 200) {
      const rights = body['rights'] as Right[];
      const right = rights.find(({ holder, granted }) => holder === session['memberId'] && granted === 'auditor');
      const itemId = right?.itemId ?? '';
      await second.post(`${REVIEWS}/${reviewId}/decisions`, { decisions: [{ itemId, decision: 'revoke' }] });
      // The rest is confirmed, so that nothing lapses in a stack that goes on for weeks.
      const own = (await second.get('/staff/v1/session')).body['memberId'];
      const others = rights.filter((each) => each.itemId !== itemId);
      await confirm(
        second,
        reviewId,
        others.filter(({ holder }) => holder !== own),
      );
      await confirm(
        first,
        reviewId,
        others.filter(({ holder }) => holder === own),
      );
      taken = { reviewId, itemId };
      return (await auditor.get('/staff/v1/security-alerts')).status === 403 ? 'refused' : 'still allowed';
    }
    await pause(200);
  }
  return 'no campaign';
}

async function confirm(by: StaffBrowser, reviewId: string, rights: readonly Right[]): Promise<void> {
  const decisions = rights.map(({ itemId }) => ({ itemId, decision: 'confirm' }));
  if (decisions.length > 0) await by.post(`${REVIEWS}/${reviewId}/decisions`, { decisions });
}

async function giveRoleBack(by: StaffBrowser, auditor: StaffBrowser): Promise<string> {
  if (!taken) return 'nothing was taken';
  await by.post(`${REVIEWS}/${taken.reviewId}/rights/${taken.itemId}/restoration`);
  return (await auditor.get('/staff/v1/security-alerts')).status === 200 ? 'reads again' : 'still refused';
}

/** The event is sent anew as long as it has not arrived: whoever sends or takes it may have been ended meanwhile. */
async function leave(stack: Stack, auditor: StaffBrowser): Promise<string> {
  for (const untilMs = Date.now() + WITHIN_MS; Date.now() < untilMs;) {
    await setDisabled(stack, true);
    if ((await auditor.get('/staff/v1/session')).status === 401) return 'signed out';
    await pause(500);
  }
  return 'still signed in';
}

/** Who has left is let in again by hand (docs/operations.md). */
async function comeBack(stack: Stack): Promise<void> {
  await setDisabled(stack, false);
  const database = openDatabase(stack.ownerUrl, 1);
  const subject = STAFF.find(({ username }) => username === 'auditor')?.subject ?? '';
  await database.staffMember.updateMany({ where: { subject }, data: { status: 'active', withdrawnRoles: [] } });
  await database.$disconnect();
}

async function setDisabled(stack: Stack, disabled: boolean): Promise<void> {
  const http = createClient(null);
  const control = `http://127.0.0.1:${stack.ports.identityProviderControl.toString()}`;
  const headers = { 'content-type': 'application/json' };
  await http.send(`${control}/control/accounts/auditor`, {
    method: 'PUT',
    headers,
    body: JSON.stringify({ disabled }),
  });
  await http.close();
}

/** The command as an auditor runs it. What it finds in a stack of an hour's age is not the story's matter. */
async function audit(stack: Stack): Promise<string> {
  for (const untilMs = Date.now() + WITHIN_MS; Date.now() < untilMs;) {
    const findings = await findingsOf(stack);
    const passed = (check: string): boolean =>
      findings.some((each) => each.check === check) &&
      findings.every((each) => each.check !== check || each.verdict === 'passed');
    if (passed('tls-connection')) {
      const isWell = ['tls-old-version-refused', 'tls-ciphers', 'attestation-letter'].every(passed);
      return isWell ? 'looked at everything' : 'found a fault in how things are set';
    }
    await pause(500);
  }
  return 'no connection';
}

async function findingsOf(stack: Stack): Promise<{ check: string; verdict: string }[]> {
  const url = postgresUrl(stack.ports.postgres, stack.secrets.auditorDatabase.value, DATABASE, LOGINS.auditor);
  const args = [projectFile('dist/cli/main.js'), 'audit', '--json', '--api', stack.apiUrl, '--ca', stack.companyCaFile];
  const options = { env: { ...process.env, DATABASE_URL: url }, maxBuffer: 16_000_000 };
  // It ends with an error when something failed, and says so in its output all the same.
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, options, (_error, stdout) => {
      resolve(stdout);
    });
  });
  return output === '' ? [] : (JSON.parse(output) as { findings: { check: string; verdict: string }[] }).findings;
}
