import { randomBytes, randomUUID } from 'node:crypto';
import { Agent, fetch as send } from 'undici';
import { hashSecret } from '../../vault/secret-hash';
import { normalizePlate } from '../../access/plates';
import { createIdentification } from '../../api/identification';
import { createIdentificationGuard } from '../../api/identification-guard';
import { createLogger } from '../../config/logger';
import { LOCKOUTS, lockoutKey } from '../../contracts/lockout';
import { openDatabase } from '../../prisma/database';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
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
    h = await createHarness({ openWithinMs: 30_000 });
    dispatcher = new Agent({ connect: { ca: h.caPem, timeout: 60_000 }, connections: AT_ONCE });
    // The contract is no obstacle here: it is the lockout that is to hold.
    await h.owner.partner.update({
      where: { id: 'vizor' },
      data: { inboundPerSecond: 100_000, inboundConcurrency: 2 * AT_ONCE },
    });
    tokens = await Promise.all(Array.from({ length: CLIENTS }, (_, n) => clientToken(`guesser-${n.toString()}`)));
    const known = { plate: 'А777АА77', houseId: vizor.houseId };
    expect((await h.app.post(`/app/v1/residents/${RESIDENTS.anna.id}/vehicles`, known)).status).toBe(201);
  }, 120_000);
  afterAll(async () => {
    await dispatcher.close();
    await h.close();
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

  async function guess(n: number): Promise<number> {
    const answer = await send(`${h.apiUrl}/partner/v1/barriers/${vizor.barrierDeviceId}/openings`, {
      method: 'POST',
      dispatcher,
      headers: {
        authorization: `Bearer ${tokens[n % CLIENTS] ?? ''}`,
        'content-type': 'application/json',
        'idempotency-key': randomUUID(),
      },
      body: JSON.stringify({ plate: plate(n) }),
    });
    await answer.arrayBuffer();
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
    // The pauses before the lockout add up to half a minute: a quick machine is through before it comes.
    const alerts = () => h.owner.securityAlert.findMany();
    for (; (await alerts()).length === 0; sent++) await guess(next++);

    expect([...statuses]).toEqual([[403, WHOLE]]);
    const where = { accessPointId: vizor.barrierId };
    expect(await h.owner.opening.count({ where: { ...where, status: { not: 'denied' } } })).toBe(0);
    // The configured number may fail, and the one after it locks: however many come at once, no other was looked at.
    const looked = await h.owner.opening.count({ where: { ...where, reason: 'identity-unknown' } });
    expect(looked).toBe(LOCKOUTS.device.attempts + 1);
    expect(await h.owner.opening.count({ where: { ...where, reason: 'locked-out' } })).toBe(sent - looked);
    expect(await alerts()).toMatchObject([{ kind: 'lockout', scope: 'device', objectId: vizor.barrierId }]);

    const known = await h.sandbox.showPlate('vizor', vizor.barrierDeviceId, 'А777АА77');
    expect(known.company?.status).toBe(403);
    const { status } = await h.app.post(`/app/v1/access-points/${vizor.doorId}/openings`, {
      residentId: RESIDENTS.anna.id,
    });
    expect(status).toBe(200);
  }, 300_000);

  it('are looked at no more than was configured, ten thousand at once in two API processes', async () => {
    await h.owner.$executeRaw`DELETE FROM rate_limits`;
    await h.owner.securityAlert.deleteMany();
    const accessPoint = await h.owner.accessPoint.findUniqueOrThrow({ where: { id: vizor.barrierId } });
    let looked = 0;
    const faces = { identify: () => Promise.reject(new Error('no faces here')) };
    const plates = { identify: () => Promise.resolve((looked++, null)), fingerprint: (text: string) => text };
    const database = openDatabase(h.db.urlFor('domovoy_api'), 4);
    const guards = [0, 1].map(() =>
      createIdentificationGuard({
        databaseUrl: h.db.urlFor('domovoy_api'),
        database,
        key: randomBytes(32),
        log: createLogger('test', 'silent'),
      }),
    );
    const processes = guards.map((guard) => createIdentification({ faces, plates, guard }));
    const outcomes = new Set<string>();
    const one = async (n: number): Promise<void> => {
      const attempt = {
        accessPoint,
        clientId: `guesser-${(n % CLIENTS).toString()}`,
        network: `10.0.${(n % 250).toString()}`,
      };
      const reading = normalizePlate(plate(n));
      if (!reading.ok) throw new Error('a guess is a plate');
      outcomes.add((await processes[n % 2]?.byPlate(attempt, reading.plate))?.kind ?? '');
    };
    for (let from = 0; from < GUESSES; from += 500) {
      await Promise.all(Array.from({ length: 500 }, (_, n) => one(from + n)));
      // The pauses go by; the lockout stays.
      await h.owner.$executeRaw`DELETE FROM rate_limits WHERE key = ${lockoutKey('pause', vizor.barrierId)}`;
    }
    expect([...outcomes].toSorted()).toEqual(['locked', 'nobody']);
    expect(looked).toBe(LOCKOUTS.device.attempts + 1);
    expect(await h.owner.securityAlert.count()).toBe(1);
    for (const guard of guards) await guard.close();
    await database.$disconnect();
  }, 120_000);
});
