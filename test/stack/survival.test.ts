import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { parseKeyRing } from '../../config/environment';
import { projectFile } from '../../config/project-root';
import { openDatabase } from '../../prisma/database';
import { stackPorts, type Ports } from '../../stack/ports';
import { postgresUrl } from '../../stack/postgres';
import { DATABASE } from '../../stack/processes';
import { stackSecrets, type StackSecrets } from '../../stack/secrets';
import { moveIn } from '../../stack/seed';
import { openStateFolder } from '../../stack/state-folder';
import { createAppBackend, type AppBackend } from '../../stack/story/app-backend';
import { createSandbox, type Sandbox } from '../../stack/story/sandbox-control';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { localKeyEncryption } from '../../vault/key-encryption';
import { readLogSegment } from '../../vault/log-segments';
import { askedOfPrometheus, namesIn } from '../support/promql';
import { until } from '../support/until';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const kluch = PARTNERS.find(({ id }) => id === 'kluch') as TownPartner;
const anna = RESIDENTS.anna.id;
const photo = readFileSync(projectFile('sandbox/media/resident.jpg'));
const OFFSET = '1300';

/** The local stack as a user starts it: `node dist/stack/main.js`, in a folder of its own. */
describe('the running stack', () => {
  const state = mkdtempSync(join(tmpdir(), 'domovoy-stack-'));
  const env = { ...process.env, DOMOVOY_STATE_DIR: state, DOMOVOY_PORT_OFFSET: OFFSET };
  const ports: Ports = stackPorts(env);
  let stack: ChildProcess;
  let output = '';
  let app: AppBackend;
  let sandbox: Sandbox;
  let consentId = '';

  async function start(): Promise<void> {
    stack = spawn(process.execPath, [projectFile('dist/stack/main.js')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [stack.stdout, stack.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    const before = output.length;
    await until('the stack serves', async () => output.slice(before).includes('Ctrl-C ends it'), 120_000).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}\n${output}`);
      },
    );
  }

  const pidFile = (name: string): string => join(state, 'run', `${name}.pid`);
  function pidOf(name: string): number {
    return (JSON.parse(readFileSync(pidFile(name), 'utf8')) as { pid: number }).pid;
  }

  beforeAll(async () => {
    chmodSync(state, 0o711);
    await start();
    app = createAppBackend({
      apiUrl: `https://localhost:${ports.api.toString()}`,
      caPem: readFileSync(join(state, 'certificates/company-ca.pem'), 'utf8'),
      clientId: APP_CLIENT_ID,
      clientSecret: readFileSync(join(state, 'secrets/app-client-secret'), 'utf8'),
    });
    sandbox = createSandbox({ controlUrl: `http://127.0.0.1:${ports.sandboxControl.toString()}` });
    consentId = await consentOf(anna);
  }, 180_000);

  afterAll(async () => {
    const ended = new Promise((resolve) => stack.once('exit', resolve));
    stack.kill('SIGTERM');
    await ended;
    await Promise.allSettled([app.close(), sandbox.close()]);
    rmSync(state, { recursive: true, force: true });
  }, 60_000);

  const ownerUrl = ({ postgres }: StackSecrets): string => postgresUrl(ports.postgres, postgres.value, DATABASE);

  /**
   * An opening and somebody's enrollment, both under way while `disturb` strikes. The opening is answered by then, or
   * says that it is not.
   *
   * @returns the enrollment, which may take longer: what a dead worker was about is given to another after half a minute
   */
  async function live(residentId: string, disturb: () => void): Promise<string> {
    const openingKey = randomUUID();
    const openPath = `/app/v1/access-points/${vizor.doorId}/openings`;
    const consentId = await consentOf(residentId);
    const enrollPath = `/app/v1/residents/${residentId}/face-enrollments?consentId=${consentId}&houseId=${kluch.houseId}`;
    const opening = app.post(openPath, { residentId: anna }, openingKey);
    const enrollment = app.post(enrollPath, photo, randomUUID());
    setTimeout(disturb, 20);

    const { status, body } = await opening;
    const openingId = String(body['openingId']);
    const effects = await sandbox.effects('vizor', `open/${openingId}`);
    if (status === 200) expect(effects).toBe(1);
    else {
      expect(status).toBeGreaterThanOrEqual(400);
      // Whatever was promised holds: only "unknown" leaves it open whether the device moved.
      expect(effects).toBeLessThanOrEqual(body['type'] === '/problems/opening-unknown' ? 1 : 0);
    }
    return String((await enrollment).body['enrollmentId']);
  }

  async function consentOf(residentId: string): Promise<string> {
    const form = await app.get('/app/v1/consent-forms/current');
    const request = { partnerId: 'kluch', formId: form.body['formId'], formSha256: form.body['sha256'] };
    return String((await app.post(`/app/v1/residents/${residentId}/consents`, request)).body['consentId']);
  }

  const serves = (): Promise<void> =>
    until('the API serves', async () => (await app.get('/app/v1/consent-forms/current')).status === 200);

  it('goes on when any one process is killed, and the stack itself: what was under way ends as it should, with one effect', async () => {
    const secrets = stackSecrets(openStateFolder(env));
    const victims = ['api', 'worker-smart-home', 'partners', 'billing', 'temporal', 'postgres', 'the stack'];
    const flat = { name: 'Кто-то Ещё', partnerId: kluch.id, flat: kluch.flats.paid };
    const people: string[] = [];
    while (people.length < victims.length) people.push(await moveIn(ownerUrl(secrets), secrets, flat));
    const enrollments: string[] = [];
    for (const [index, name] of victims.entries()) {
      const pid = name === 'the stack' ? 0 : pidOf(name);
      let back = (): Promise<void> =>
        until(`${name} is back`, () => Promise.resolve(existsSync(pidFile(name)) && pidOf(name) !== pid));
      enrollments.push(
        await live(people[index] ?? '', () => {
          if (name === 'the stack') {
            stack.kill('SIGKILL');
            const again = start();
            back = () => again;
          } else process.kill(pid, 'SIGKILL');
        }),
      );
      await back();
      await serves();
    }
    for (const enrollmentId of enrollments) {
      await until(
        'the enrollment ends',
        async () => (await app.get(`/app/v1/face-enrollments/${enrollmentId}`)).body['state'] === 'active',
        120_000,
      );
      expect(await sandbox.effects('kluch', `enroll/${enrollmentId}`)).toBe(1);
    }
  }, 400_000);

  it('has in the journal, once, each of the answers of an API that is killed before it has written them', async () => {
    const secrets = stackSecrets(openStateFolder(env));
    const agent = new Agent({ connect: { ca: readFileSync(join(state, 'certificates/company-ca.pem'), 'utf8') } });
    const basic = Buffer.from(`${APP_CLIENT_ID}:${secrets.appClient.value}`).toString('base64');
    const ids = Array.from({ length: 20 }, () => randomUUID());
    const statuses = await Promise.all(
      ids.map(async (requestId) => {
        const answer = await request(`https://localhost:${ports.api.toString()}/oauth/token`, {
          method: 'POST',
          dispatcher: agent,
          headers: {
            authorization: `Basic ${basic}`,
            'content-type': 'application/x-www-form-urlencoded',
            'x-request-id': requestId,
          },
          body: 'grant_type=client_credentials',
        });
        await answer.body.dump();
        return answer.statusCode;
      }),
    );
    const spools = join(state, 'journal-spools/api');
    const onDisk = (): string =>
      readdirSync(spools)
        .map((name) => readFileSync(join(spools, name), 'utf8'))
        .join('');
    await until('the last of them is noted', () => Promise.resolve(ids.every((id) => onDisk().includes(id))));
    const pid = pidOf('api');
    process.kill(pid, 'SIGKILL');
    await agent.destroy();
    expect(new Set(statuses)).toEqual(new Set([200]));
    await until('the API is back', () => Promise.resolve(existsSync(pidFile('api')) && pidOf('api') !== pid));
    await serves();
    const database = openDatabase(ownerUrl(secrets), 1);
    const written = () => database.journalEntry.findMany({ where: { objectId: { in: ids } } });
    await until('all of them are written', async () => (await written()).length >= ids.length);
    expect((await written()).map(({ objectId }) => objectId).toSorted()).toEqual(ids.toSorted());
    await database.$disconnect();
  }, 120_000);

  it('opens at once again when everything is back', async () => {
    await until(
      'a door opens',
      async () =>
        (await app.post(`/app/v1/access-points/${vizor.doorId}/openings`, { residentId: anna })).status === 200,
      60_000,
    );
  }, 90_000);

  it('shows every figure that the dashboards and the alert rules ask for', async () => {
    const { apiHealth, smartHomeHealth, communalHealth, coreHealth } = ports;
    const shown = await Promise.all(
      [apiHealth, smartHomeHealth, communalHealth, coreHealth].map(async (port) =>
        (await fetch(`http://127.0.0.1:${port.toString()}/metrics`)).text(),
      ),
    );
    const { asked, recorded } = askedOfPrometheus();
    expect(asked.size).toBeGreaterThan(20);
    const known = new Set([...shown.flatMap(namesIn), ...recorded, 'up']);
    expect([...asked].filter((name) => !known.has(name))).toEqual([]);
    // Nothing of a person, of a request or of a payload is a label.
    expect(shown.join('\n')).not.toMatch(new RegExp(`${anna}|${consentId}|[Аа]нна|eyJ`));
  });

  it('keeps logs that nobody reads from the disk, and that name nobody when they are decrypted', async () => {
    const folder = join(state, 'logs/segments');
    const files = readdirSync(folder).map((name) => join(folder, name));
    expect(new Set(files.map((file) => file.replace(/-\d{4}-.*$/, ''))).size).toBe(4);
    const ring = parseKeyRing(readFileSync(join(state, 'secrets/key-encryption-keys'), 'utf8'));
    let read = '';
    for (const file of files) {
      expect(readFileSync(file, 'latin1')).not.toMatch(/"level"|"msg"|openOnDemand/);
      for await (const text of readLogSegment(file, localKeyEncryption(ring.keys, ring.currentId))) read += text;
    }
    expect(read).toContain('"event":"request"');
    // Whatever else the processes print lies beside them.
    const plain = readdirSync(join(state, 'logs')).filter((name) => name.endsWith('.log'));
    const printed = plain.map((name) => readFileSync(join(state, 'logs', name), 'latin1')).join('\n');
    const secrets = readdirSync(join(state, 'secrets')).map((name) =>
      readFileSync(join(state, 'secrets', name), 'utf8'),
    );
    for (const canary of [...RESIDENTS.anna.name.split(' '), ...secrets.map((secret) => secret.trim())]) {
      // As yes or no: a failing match would print the secret.
      expect((read + printed).includes(canary)).toBe(false);
    }
    expect(/(-?0\.\d{4,},\s*){8}|[АВЕКМНОРСТУХ]\d{3}[АВЕКМНОРСТУХ]{2}\d{2}|eyJ[\w-]{20,}/.test(read + printed)).toBe(
      false,
    );
  });

  it('leaves no process behind when it is asked to end', async () => {
    const pids = ['api', 'worker-smart-home', 'worker-communal', 'worker-core', 'partners', 'temporal', 'postgres'].map(
      pidOf,
    );
    const ended = new Promise((resolve) => stack.once('exit', resolve));
    stack.kill('SIGTERM');
    await ended;
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    await start();
    expect((await app.get('/app/v1/consent-forms/current')).status).toBe(200);
    expect((await app.get(`/app/v1/consents/${consentId}`)).body['status']).toBe('granted');
  }, 180_000);
});
