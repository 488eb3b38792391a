import { readFileSync } from 'node:fs';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { Command } from 'commander';
import type { AuditFinding, SecurityAuditReport } from '../contracts/security-audits';
import { askForAdvisories } from '../governance/advisories';
import { auditSecurity, certificateEnd, finding } from '../governance/audit';
import { databaseOption, withDatabase } from './database';
import { CommandRefusal } from './refusal';

type AuditOptions = { database?: string; json?: true; api?: string; ca?: string; advisories: boolean };

const HANDSHAKE_MS = 5_000;

/** `domovoy audit`: who holds what since when, what has gone wrong, how things are set (R4.6). Changes nothing. */
export const auditCommand = (): Command =>
  new Command('audit')
    .description('Looks at credentials, rights, unused accounts, TLS, refusals and known faults of dependencies.')
    .option('--json', 'the whole report, as the scheduled one has it')
    .option('--api <origin>', 'the API whose TLS is tried, https://…')
    .option('--ca <file>', 'the authority of its certificate, PEM')
    .option('--no-advisories', 'do not ask the package registry')
    .addOption(databaseOption())
    .action(async ({ database, json, api, ca, advisories }: AuditOptions) => {
      const connection = api === undefined ? undefined : await tryConnection(originOf(api), ca);
      const report = await withDatabase(database, (reader) =>
        auditSecurity(reader, {
          nowMs: Date.now(),
          advisories: advisories ? askForAdvisories : () => Promise.resolve({ why: 'not-wanted' }),
          ...(connection && { connection }),
        }),
      );
      for (const line of json ? [JSON.stringify(report, null, 2)] : linesOf(report)) console.log(line);
      const failed = report.findings.filter(({ verdict }) => verdict === 'failed').length;
      if (failed > 0) throw new CommandRefusal(`${failed.toString()} checks failed.`);
    });

const MARKS = { passed: ' ok ', warning: 'warn', failed: 'FAIL', 'not-checked': ' ?  ' } as const;

function linesOf({ at, findings, credentials, rights, failedChecks, settings }: SecurityAuditReport): string[] {
  return [
    `Security audit of ${at}`,
    ...findings.map(({ check, subject, verdict, says }) =>
      [`[${MARKS[verdict]}]`, check, ...(subject === null ? [] : [subject]), `- ${says}`].join(' '),
    ),
    `Credentials: ${credentials.length.toString()}`,
    ...credentials.map(
      ({ owner, name, ageDays, heldBy }) => `  ${owner}/${name} (${heldBy}): ${ageDays.toString()} days`,
    ),
    `Rights: ${rights.members.length.toString()} people, ${rights.clients.length.toString()} clients`,
    ...rights.members.map(({ memberId, roles }) => `  ${memberId}: ${roles.join(', ')}`),
    ...rights.clients.map(({ clientId, scopes }) => `  ${clientId}: ${scopes.join(', ')}`),
    'Refused in 30 days:',
    ...failedChecks.map(({ what, count }) => `  ${what}: ${count.toString()}`),
    'Settings:',
    ...Object.entries(settings).map(([name, value]) => `  ${name}: ${value}`),
  ];
}

function originOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol !== 'https:') throw new CommandRefusal('Say the address of the API as https://….');
  return url;
}

/** Shakes hands as a client would, and once as only an old one would. */
async function tryConnection(origin: URL, caFile: string | undefined): Promise<AuditFinding[]> {
  const ca = caFile === undefined ? undefined : readCa(caFile);
  const to = {
    host: origin.hostname,
    port: Number(origin.port || 443),
    servername: origin.hostname,
    ...(ca && { ca }),
  };
  const good = await shakeHands(to);
  if (!good) return [finding('tls-connection', origin.host, 'failed', 'no handshake: not there, or not to be trusted')];
  // Our own library refuses old versions unless its security level is lowered: the server is to refuse, not we.
  const old = await shakeHands({ ...to, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' });
  return [
    finding('tls-connection', origin.host, 'passed', `${good.protocol}, ${good.cipher}`),
    finding('tls-old-version-refused', origin.host, old ? 'failed' : 'passed', old ? old.protocol : 'refused'),
    certificateEnd('tls-certificate', origin.host, good.validTo, Date.now()),
  ];
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new CommandRefusal(`The file cannot be read: ${file}`);
  }
}

type Handshake = { readonly protocol: string; readonly cipher: string; readonly validTo: Date };

/** @returns `null` when none came about */
function shakeHands(options: ConnectionOptions): Promise<Handshake | null> {
  return new Promise((resolve) => {
    const socket: TLSSocket = connect({ ...options, timeout: HANDSHAKE_MS }, () => {
      const { valid_to: validTo } = socket.getPeerCertificate();
      resolve({
        protocol: socket.getProtocol() ?? '',
        cipher: socket.getCipher().standardName,
        validTo: new Date(validTo),
      });
      socket.destroy();
    });
    const none = (): void => {
      resolve(null);
      socket.destroy();
    };
    socket.once('error', none).once('timeout', none);
  });
}
