import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DefaultLogger, Runtime } from '@temporalio/worker';
import { Agent, request } from 'undici';
import { parseKeyRing } from '../../config/environment';
import { projectRoot } from '../../config/project-root';
import { OWN_CREDENTIALS } from '../../contracts/credentials';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS } from '../../stack/town';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createSecretStore } from '../../vault/secrets';
import { createOwnKeyStore, OWN_KEY_PURPOSES } from '../../vault/own-keys';
import { CREDENTIALS, credentialsOf, rotationOf } from '../support/credentials';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';
import { staffMember } from '../support/staff';
import { textsOf } from '../support/histories';
import { until } from '../support/until';

// One for all test files of a process, and another one may have asked for fewer lines.
Runtime.install({ logger: new DefaultLogger('INFO') });

let h: Harness;
/** Every value that was a secret at any time of this test. */
const canaries = new Set<string>();
const printed: string[] = [];
let refusals: readonly { readonly status: number; readonly text: string }[] = [];

beforeAll(async () => {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    jest.spyOn(stream, 'write').mockImplementation((chunk: string | Uint8Array) => {
      printed.push(Buffer.from(chunk).toString());
      return write(chunk);
    });
  }
  h = await createHarness({ server: 'real', core: true });
  await collectSecrets();
  for (const secret of Object.values(h.secrets).flat()) {
    if ('value' in secret) {
      canaries.add(secret.value);
      addPrivateLines(secret.value);
    } else
      for (const { value } of [secret.password, ...(secret.totpSecret ? [secret.totpSecret] : [])]) canaries.add(value);
  }

  for (const { id } of PARTNERS) await breakPartner(h, id, { endpoint: 'credentials', fault: 'lost-answer', times: 1 });
  const credentials = credentialsOf(h);
  for (const each of CREDENTIALS) await credentials.age(each, 25);
  for (const each of CREDENTIALS) await credentials.start(each);
  // The keys that we sign with too, so that those before and their successors are all looked for.
  for (const { credential } of OWN_CREDENTIALS) await credentials.revoke(credential);
  await until(
    'new ones are in use',
    async () => {
      await collectSecrets();
      const versions = await Promise.all(CREDENTIALS.map((each) => credentials.versions(each)));
      const own = await Promise.all(OWN_CREDENTIALS.map(({ credential }) => credentials.versions(credential)));
      const areReplaced = own.every(([newest, first]) => newest?.state === 'active' && first?.destroyed === true);
      return areReplaced && versions.every(([newest]) => newest?.state === 'active');
    },
    90_000,
  );
  await mendEverything(h);
  for (const { doorId } of PARTNERS) {
    await h.app.post(`/app/v1/access-points/${doorId}/openings`, { residentId: RESIDENTS.anna.id });
  }
  refusals = await beRefused();
}, 240_000);
afterAll(async () => {
  jest.restoreAllMocks();
  await h.close();
});

/** What git leaves out, too: the state folder of a stack that ran here holds its keys, as it should. */
const NOT_OURS = ['node_modules', 'dist', '.git', 'generated', '.domovoy', 'secrets'];
function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.includes(entry.name) ? [] : filesOf(path);
    return entry.isFile() ? [path] : [];
  });
}

const SECRETS_OF_ANYBODY = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[\w+/]{40}/,
  /"kty": ?"OKP"[^}]*"d": ?"[\w-]{43}"/,
  // Of Vault and OpenBao, GitHub, AWS.
  /\bhv[sb]\.[\w-]{24}|\bs\.[A-Za-z0-9]{24}\b|\bgh[pousr]_[A-Za-z0-9]{36}|\bAKIA[0-9A-Z]{16}\b/,
];
const isSecretOfAnybody = (text: string): boolean => SECRETS_OF_ANYBODY.some((secret) => secret.test(text));

/** Every version of every file that git has, with its object id, and what was said of it. */
function* objectsOf(repository: string): Generator<{ id: string; text: string }> {
  const all = ['cat-file', '--batch-all-objects', '--batch', '--unordered', '--buffer'];
  const output = execFileSync('git', all, { cwd: repository, maxBuffer: 1_000_000_000, timeout: 60_000 });
  for (let offset = 0; offset < output.length;) {
    const begin = output.indexOf('\n', offset) + 1;
    const [id = '', type = '', size = ''] = output.toString('latin1', offset, begin - 1).split(' ');
    const end = begin + Number(size);
    if (type !== 'tree') yield { id, text: output.toString('latin1', begin, end) };
    offset = end + 1;
  }
}

async function collectSecrets(): Promise<void> {
  const ring = parseKeyRing(h.secrets.keyEncryptionKeys.value);
  const keyEncryption = localKeyEncryption(ring.keys, ring.currentId);
  const store = createSecretStore(keyEncryption);
  for (const purpose of OWN_KEY_PURPOSES) {
    for (const { d } of await createOwnKeyStore(keyEncryption, purpose).usable(h.owner)) canaries.add(String(d));
  }
  for (const row of await h.owner.secret.findMany({ where: { wrapped: { not: null } } })) {
    if (row.wrapped === null) continue;
    const value = await store.reveal({ ...row, wrapped: row.wrapped });
    canaries.add(value);
    // The private part of a key, however it is written.
    if (value.startsWith('{')) canaries.add((JSON.parse(value) as { d: string }).d);
    addPrivateLines(value);
  }
  // What partners show us is no longer here once they do.
  for (const partnerId of ['kluch', 'vizor']) canaries.add(await credentialsOf(h).shownBy(partnerId));
}

/** Of a private key in PEM each line that says anything of it: line ends are written in many ways. */
function addPrivateLines(pem: string): void {
  const body = /-----BEGIN PRIVATE KEY-----([^-]+)-----END/.exec(pem)?.[1] ?? '';
  for (const line of body.split('\n')) if (line.length >= 40) canaries.add(line);
}

/** Shows our API secrets in wrong places. */
async function beRefused() {
  const dispatcher = new Agent({ connect: { ca: h.caPem } });
  const { fromVizorSecret, fromKluchPassword, fromKluchSigningKey, appClient } = h.secrets;
  const basic = (id: string, secret: string): string => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const ask = async (method: 'GET' | 'POST', path: string, headers: Record<string, string>, body: string | null) => {
    const answer = await request(h.apiUrl + path, { dispatcher, method, headers, body });
    return { status: answer.statusCode, text: JSON.stringify(answer.headers) + (await answer.body.text()) };
  };
  const askToken = (headers: Record<string, string>, body = 'grant_type=client_credentials') =>
    ask('POST', '/oauth/token', { ...form, ...headers }, body);
  const security = await staffMember(h, ['information-security']);
  const privateKey = fromKluchSigningKey.value;
  const announced = await security.call('post', '/staff/v1/partners/kluch/announced-credentials', {
    body: { name: 'message-key', keyId: 'by-mistake', publicKeyPem: privateKey },
  });
  const doors = `/app/v1/access-points/${PARTNERS[0]?.doorId ?? ''}/openings`;
  const byTheApp = [
    await h.app.get(`/app/v1/residents/${appClient.value}/reminders`),
    await h.app.post(doors, { residentId: appClient.value }),
  ];
  const refused = [
    await askToken({ authorization: basic('shlagbaum', fromVizorSecret.value) }),
    await askToken({ authorization: basic('nobody', appClient.value) }),
    await askToken({}, `client_id=${APP_CLIENT_ID}&client_secret=${appClient.value}&grant_type=password`),
    await ask('POST', `/oauth/token?client_secret=${appClient.value}`, form, ''),
    await ask('GET', '/partner/v1/obligations', { authorization: basic('kluch', fromKluchPassword.value) }, null),
    await ask('GET', '/partner/v1/obligations', { authorization: `Bearer ${appClient.value}` }, null),
    await ask('POST', '/oauth/token', { 'content-type': 'application/json' }, `{"secret":"${appClient.value}"`),
    { status: announced.status, text: announced.bytes.toString() },
    ...byTheApp.map(({ status, body }) => ({ status, text: JSON.stringify(body) })),
  ];
  await dispatcher.close();
  return refused;
}

/** As yes or no, and never the secret: a failing match would print it. */
function holdsACanary(text: string): boolean {
  return [...canaries].some((canary) =>
    [canary, encodeURIComponent(canary), Buffer.from(canary).toString('base64').replace(/=+$/, '')].some((form) =>
      text.includes(form),
    ),
  );
}

describe('of no secret that was in use before, during or after a rotation is anything', () => {
  it('in a history, as it is stored or opened, failures included', async () => {
    const ids = CREDENTIALS.map(rotationOf);
    const others: string[] = [];
    for await (const { workflowId } of h.temporal.client.workflow.list()) others.push(workflowId);
    const all = [...new Set([...ids, ...others])];
    const histories = await Promise.all(all.map((id) => h.temporal.client.workflow.getHandle(id).fetchHistory()));
    const { stored, opened } = await textsOf(h, histories);
    expect(opened).toContain('basic-password');
    expect(canaries.size).toBeGreaterThan(20);
    expect(holdsACanary([...canaries][0] ?? '')).toBe(true); // it would be found
    expect(holdsACanary(stored)).toBe(false);
    expect(holdsACanary(opened)).toBe(false);
  });

  it('in a log line, or in what the processes print', () => {
    expect(h.logLines.length).toBeGreaterThan(0);
    expect(printed.join('')).toContain('PartnerUnavailable');
    expect(holdsACanary(h.logLines.join('\n'))).toBe(false);
    expect(holdsACanary(printed.join(''))).toBe(false);
  });

  it('in the journal, the alerts, the clients or what is kept of requests', async () => {
    const rows = await Promise.all([
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM journal_entries t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM security_alerts t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM oauth_clients t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM secret_sightings t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM idempotency_records t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM partners t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM own_signing_keys t`,
      h.owner.$queryRaw`SELECT to_json(t)::text AS text FROM credential_handovers t`,
    ]);
    expect(holdsACanary(JSON.stringify(rows))).toBe(false);
  });

  it('in what whoever is refused is told', () => {
    const statuses = refusals.map(({ status }) => status);
    expect(statuses.filter((status) => status >= 400 && status < 500)).toEqual(statuses);
    expect(statuses.length).toBeGreaterThanOrEqual(10);
    expect(refusals.filter(({ text }) => holdsACanary(text)).map(({ status }) => status)).toEqual([]);
  });

  it('in the repository, which holds no key and no token of anybody either', () => {
    const files = filesOf(projectRoot());
    expect(files.length).toBeGreaterThan(300);
    // By their names: a failing match would print the key.
    const holding = (isKey: (text: string) => boolean): string[] =>
      files.filter((file) => isKey(readFileSync(file, 'latin1')));
    expect(holding(holdsACanary)).toEqual([]);
    expect(holding(isSecretOfAnybody)).toEqual([]);
  });

  // A copy without its history has none to search.
  (existsSync(join(projectRoot(), '.git')) ? it : it.skip)('in the history of the repository', () => {
    const objects = [...objectsOf(projectRoot())];
    expect(objects.length).toBeGreaterThan(0);
    expect(isSecretOfAnybody(['-----BEGIN', 'PRIVATE KEY-----\n'].join(' ') + 'A'.repeat(64))).toBe(true);
    expect(objects.filter(({ text }) => isSecretOfAnybody(text)).map(({ id }) => id)).toEqual([]);
  });

  it('in the arguments of a process', () => {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const lines = pids.map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      } catch {
        return ''; // it ended meanwhile
      }
    });
    expect(lines.join('').length).toBeGreaterThan(100);
    expect(holdsACanary(lines.join('\n'))).toBe(false);
  });
});
