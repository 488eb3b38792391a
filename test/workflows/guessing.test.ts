import { randomBytes, randomUUID } from 'node:crypto';
import { Agent, fetch as send } from 'undici';
import { hashSecret } from '../../vault/secret-hash';
import { normalizePlate } from '../../access/plates';
import { createFaceIdentifier } from '../../api/face-identification';
import { createIdentification, type Identification } from '../../api/identification';
import { createIdentificationGuard, type IdentificationGuard } from '../../api/identification-guard';
import { createPlateIdentifier } from '../../api/plate-identification';
import { createLogger } from '../../config/logger';
import { lockoutKey, type LockoutAttempts } from '../../contracts/lockout';
import { openDatabase, type Database } from '../../prisma/database';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createPlateIndex } from '../../vault/plate-index';
import { createHarness, type Harness } from '../support/harness';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const LETTERS = 'АВЕКМНОРСТУХ';
/** Over HTTPS through the whole product; ten thousand of these would take minutes. */
const WHOLE = 400;
/** Through identification itself, as two API processes have it. */
const GUESSES = 10_000;
const CLIENTS = 20;
/** Guesses under way at once. */
const AT_ONCE = 50;
const BATCH = 500;
/** Fewer than make identification pause. */
const BEFORE_RESTART = 4;
/** As an installation may have it: the first three are not the usual numbers. */
const ATTEMPTS: LockoutAttempts = { device: 7, client: 15, network: 25, 'near-miss': 5, 'plate-walk': 3 };
const KNOWN = 'А777АА77';
/** All of 127/8 is this machine; a network is a /24. */
const ANOTHER_NETWORK = '127.0.9.1';
const soon = (): number => Date.now() + 60_000;

/** The n-th plate of a list that no two of are alike and none of which is registered. */
function plate(n: number): string {
  const letter = (at: number): string => LETTERS[at % LETTERS.length] ?? '';
  const digits = ((n % 999) + 1).toString().padStart(3, '0');
  const series = Math.floor(n / 999);
  return `${letter(series)}${digits}${letter(series * 5 + n)}${letter(n * 7)}77`;
}

describe('guesses at one device from many clients', () => {
  let h: Harness;
  let dispatcher: Agent;
  let tokens: string[] = [];
  beforeAll(async () => {
    h = await createHarness({ openWithinMs: 30_000, attempts: ATTEMPTS });
    dispatcher = new Agent({ connect: { ca: h.caPem, timeout: 60_000 }, connections: AT_ONCE });
    // The contract is no obstacle here: it is the lockout that is to hold.
    await h.owner.partner.update({
      where: { id: 'vizor' },
      data: { inboundPerSecond: 100_000, inboundConcurrency: 2 * AT_ONCE },
    });
    tokens = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => clientToken(`guesser-${n.toString()}`)));
    const known = { plate: KNOWN, houseId: vizor.houseId };
    expect((await h.app.post(`/app/v1/residents/${RESIDENTS.anna.id}/vehicles`, known)).status).toBe(201);
  }, 120_000);
  // The counts and alerts of one test are nothing to the next.
  const forget = async (): Promise<void> => {
    await h.owner.$executeRaw`DELETE FROM rate_limits`;
    await h.owner.securityAlert.deleteMany();
  };
  afterAll(async () => {
    await dispatcher.close();
    await h.close();
  });

  /** As an API process has it. */
  const startGuard = (database: Database, key: Buffer): IdentificationGuard =>
    createIdentificationGuard({
      databaseUrl: h.db.urlFor('domovoy_api'),
      database,
      key,
      attempts: ATTEMPTS,
      log: createLogger('test', 'silent'),
    });

  async function clientToken(id: string): Promise<string> {
    const like = await h.owner.oAuthClient.findUniqueOrThrow({ where: { id: 'vizor' } });
    const secret = randomBytes(32).toString('base64url');
    await h.owner.oAuthClient.create({ data: { ...like, messageKeys: [], id, secretHashes: [hashSecret(secret)] } });
    const answer = await send(`${h.apiUrl}/oauth/token`, {
      method: 'POST',
      dispatcher,
      headers: {
        authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'grant_type=client_credentials',
    });
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  async function guess(
    n: number,
    how: { client?: number; deviceId?: string; plate?: string; from?: string } = {},
  ): Promise<number> {
    const { client = n % CLIENTS, deviceId = vizor.barrierDeviceId, from } = how;
    const connect = { ca: h.caPem, family: 4 };
    const elsewhere = from === undefined ? null : new Agent({ localAddress: from, autoSelectFamily: false, connect });
    const answer = await send(`${h.apiUrl}/partner/v1/barriers/${deviceId}/openings`, {
      method: 'POST',
      dispatcher: elsewhere ?? dispatcher,
      headers: {
        authorization: `Bearer ${tokens[client] ?? ''}`,
        'content-type': 'application/json',
        'idempotency-key': randomUUID(),
      },
      body: JSON.stringify({ plate: how.plate ?? plate(n) }),
    });
    await answer.arrayBuffer();
    await elsewhere?.close();
    return answer.status;
  }

  it('open nothing over the whole way, lock at the configured attempt, raise one alert and leave other devices alone', async () => {
    const statuses = new Map<number, number>();
    let next = 0;
    let sent = 0;
    const guesser = async (): Promise<void> => {
      for (let n = next++; n < WHOLE; n = next++) {
        const status = await guess(n);
        sent += 1;
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, guesser));
    // The pauses before the lockout add up to some seconds: a quick machine may be through before it comes.
    const alerts = () => h.owner.securityAlert.findMany();
    for (; (await alerts()).length === 0; sent++) await guess(next++);

    expect([...statuses]).toEqual([[403, WHOLE]]);
    const where = { accessPointId: vizor.barrierId };
    expect(await h.owner.opening.count({ where: { ...where, status: { not: 'denied' } } })).toBe(0);
    // The configured number may fail, and the one after it locks: however many come at once, no other was looked at.
    const looked = await h.owner.opening.count({ where: { ...where, reason: 'identity-unknown' } });
    expect(looked).toBe(ATTEMPTS.device + 1);
    expect(await h.owner.opening.count({ where: { ...where, reason: 'locked-out' } })).toBe(sent - looked);
    expect(await alerts()).toMatchObject([{ kind: 'lockout', scope: 'device', objectId: vizor.barrierId }]);

    const known = await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, KNOWN);
    expect(known.company?.status).toBe(403);
    const { status } = await h.app.post(`/app/v1/access-points/${vizor.doorId}/openings`, {
      residentId: RESIDENTS.anna.id,
    });
    expect(status).toBe(200);
  }, 300_000);

  it('are looked at no more than was configured, ten thousand in two API processes that are started anew in between', async () => {
    await forget();
    const accessPoint = await h.owner.accessPoint.findUniqueOrThrow({ where: { id: vizor.barrierId } });
    const another = await h.owner.accessPoint.findUniqueOrThrow({ where: { id: vizor.doorId } });
    const database = openDatabase(h.db.urlFor('domovoy_api'), 4);
    const plateIndex = createPlateIndex(Buffer.from(h.secrets.plateIndexKey.value, 'base64'));
    const real = createPlateIdentifier({ database, plateIndex });
    let looked = 0;
    const plates: typeof real = { ...real, identify: (...asked) => (looked++, real.identify(...asked)) };
    const log = createLogger('test', 'silent');
    const faces = createFaceIdentifier({ database, subjects: h.subjects, threshold: 0.8, margin: 0.05, log });
    const hidingKey = randomBytes(32);
    let guards: IdentificationGuard[] = [];
    let processes: Identification[] = [];
    const startAnew = async (): Promise<void> => {
      for (const guard of guards) await guard.close();
      guards = [0, 1].map(() => startGuard(database, hidingKey));
      processes = guards.map((guard) => createIdentification({ faces, plates, guard }));
    };
    const show = async (n: number, text: string, where = accessPoint): Promise<string> => {
      const [clientId, network] = [`guesser-${(n % CLIENTS).toString()}`, `10.0.${(n % 250).toString()}`];
      const reading = normalizePlate(text);
      if (!reading.ok) throw new Error('a guess is a plate');
      const attempt = { accessPoint: where, clientId, network, notAfterMs: soon() };
      return (await processes[n % 2]?.byPlate(attempt, reading.plate))?.kind ?? '';
    };
    const tally: Record<string, number> = {};
    const fire = async (texts: readonly string[]): Promise<void> => {
      const kinds = await Promise.all(texts.map((text, n) => show(n, text)));
      for (const kind of kinds) tally[kind] = (tally[kind] ?? 0) + 1;
      // The pauses go by; the lockout stays.
      await h.owner.$executeRaw`DELETE FROM rate_limits WHERE key = ${lockoutKey('pause', vizor.barrierId)}`;
    };

    await startAnew();
    expect(await show(0, KNOWN)).toBe('resident');
    looked = 0;
    const guesses = Array.from({ length: GUESSES }, (_, n) => plate(n));
    await fire(guesses.slice(0, BEFORE_RESTART));
    await startAnew();
    for (let from = BEFORE_RESTART; from < GUESSES; from += BATCH) {
      const batch = guesses.slice(from, from + BATCH);
      // Once identification is refused, one guess of each batch is right.
      await fire(looked > ATTEMPTS.device ? batch.with(0, KNOWN) : batch);
    }
    await startAnew();
    expect([await show(0, KNOWN), await show(0, KNOWN, another)]).toEqual(['locked', 'resident']);

    const [borne, all] = [ATTEMPTS.device + 1, GUESSES];
    expect(tally).toEqual({ nobody: borne, locked: all - borne });
    expect(looked).toBe(borne + 1); // and the one at the other device
    const alerts = await h.owner.securityAlert.findMany();
    expect(alerts).toMatchObject([{ kind: 'lockout', scope: 'device', objectId: vizor.barrierId }]);
    for (const guard of guards) await guard.close();
    await faces.close();
    await database.$disconnect();
  }, 120_000);

  describe('spread over many devices, so that none of these is locked,', () => {
    const ids = Array.from({ length: ATTEMPTS.network + 10 }, (_, n) => `spread-${n.toString()}`);
    let next = 0;
    beforeAll(async () => {
      await forget();
      const like = await h.owner.accessPoint.findUniqueOrThrow({ where: { id: vizor.barrierId } });
      await h.owner.accessPoint.createMany({ data: ids.map((deviceId) => ({ ...like, id: randomUUID(), deviceId })) });
    });

    /** So many guesses of one client, each at a device of its own. */
    const spread = async (client: number, count: number): Promise<void> => {
      const from = next;
      next += count;
      await Promise.all(ids.slice(from, next).map((deviceId, n) => guess(5_000 + from + n, { client, deviceId })));
    };
    const lookedAtOf = (clientId: string) =>
      h.owner.opening.count({
        where: { clientId, reason: 'identity-unknown', accessPoint: { deviceId: { in: ids } } },
      });
    const alerts = async () =>
      (await h.owner.securityAlert.findMany({ orderBy: { raisedAt: 'asc' } })).map(({ kind, scope }) => [kind, scope]);
    const shows = (client: number, from?: string) =>
      guess(0, { client, plate: KNOWN, deviceId: vizor.barrierDeviceId, ...(from !== undefined && { from }) });

    it('lock the client that makes them at the configured attempt, with one alert, and no other', async () => {
      expect(await shows(0)).toBe(200);
      await spread(0, ATTEMPTS.client);
      expect(await shows(0)).toBe(200);
      await spread(0, 1);
      expect(await shows(0)).toBe(403);
      await spread(0, 3);
      expect(await lookedAtOf('guesser-0')).toBe(ATTEMPTS.client + 1);
      expect(await alerts()).toEqual([['lockout', 'client']]);
      expect(await shows(1)).toBe(200);
    });

    it('lock the network that they come from, whichever client it is, with one alert, and no other', async () => {
      const left = ATTEMPTS.network - (ATTEMPTS.client + 1);
      await spread(1, left);
      expect(await shows(2)).toBe(200);
      await spread(1, 1);
      expect([await shows(1), await shows(2)]).toEqual([403, 403]);
      await spread(2, 2);
      expect([await lookedAtOf('guesser-1'), await lookedAtOf('guesser-2')]).toEqual([left + 1, 0]);
      expect(await alerts()).toEqual([
        ['lockout', 'client'],
        ['lockout', 'network'],
      ]);
      expect(await shows(2, ANOTHER_NETWORK)).toBe(200);
    });
  });

  it('that wait for their turn at a device wait no longer than their time, and are not looked at afterwards', async () => {
    const database = openDatabase(h.db.urlFor('domovoy_api'), 2);
    const guard = startGuard(database, randomBytes(32));
    const accessPoint = { id: randomUUID(), houseId: vizor.houseId, integration: vizor.integration };
    const attempt = { accessPoint, clientId: 'c', network: '10.1.1', notAfterMs: Date.now() + 500 };
    const [began, ended] = [signal(), signal()];
    const looked: string[] = [];
    const look = (name: string, until?: Promise<void>) => async () => {
      looked.push(name);
      began.give();
      await until;
      return { failure: { method: 'face', near: false } } as const;
    };
    const first = guard.attempt(attempt, look('first', ended.given));
    await began.given;
    const second = guard.attempt(attempt, look('second'));
    expect(await Promise.all([first, second])).toEqual(['late', 'late']);
    ended.give();
    const inTime = { ...attempt, notAfterMs: soon() };
    expect(await guard.attempt(inTime, look('third'))).toMatchObject({ failure: {} });
    expect(looked).toEqual(['first', 'third']);
    // What was looked at is counted, although nobody waited for it.
    const [row] = await h.owner.$queryRaw<{ points: number }[]>`
      SELECT points FROM rate_limits WHERE key = ${lockoutKey('device', accessPoint.id)}`;
    expect(row?.points).toBe(2);
    await guard.close();
    await database.$disconnect();
  });
});

function signal(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = (): void => undefined;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return {
    given,
    give: () => {
      give();
    },
  };
}
