import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { MESSAGE_SIGNING_KEY, TOKEN_SIGNING_KEY, type CredentialRef } from '../../contracts/credentials';
import { createAppBackend } from '../../stack/story/app-backend';
import { APP_CLIENT_ID, PARTNERS, RESIDENTS } from '../../stack/town';
import { replaceNow } from '../../workflows/credential-rotation/start';
import {
  CERTIFICATE,
  CREDENTIALS,
  credentialsOf,
  MESSAGE_KEY,
  PRESENTED,
  rotationOf,
  type CredentialsOf,
} from '../support/credentials';
import { createHarness, type Harness } from '../support/harness';
import { firstCertificate, nextCertificate, presenting } from '../support/presenting';
import { newAppToken, signerOf } from '../support/tokens';
import { until } from '../support/until';

const OWN = [TOKEN_SIGNING_KEY, MESSAGE_SIGNING_KEY];
const ANNOUNCED = [MESSAGE_KEY, CERTIFICATE];
const ALL: readonly CredentialRef[] = [...CREDENTIALS, ...OWN, ...ANNOUNCED];
/** What each of the callers asks at the least. */
const REQUESTS_AT_LEAST = 40;
/** A token is used for so many requests. */
const REQUESTS_OF_A_TOKEN = 10;

let h: Harness;
let credentials: CredentialsOf;
beforeAll(async () => {
  // On a busy machine an opening may be slow. What is counted here is what a rotation refuses. A key of ours is published
  // for long enough that this one API reads it: time cannot be skipped while openings are under way.
  h = await createHarness({ openWithinMs: 20_000, core: true, tokenKeyLeadMs: 2_000 });
  credentials = credentialsOf(h);
}, 120_000);
afterAll(() => h.close());

async function openDoor(app: Harness['app'], partnerId: string): Promise<number> {
  const doorId = PARTNERS.find(({ id }) => id === partnerId)?.doorId ?? '';
  return (await app.post(`/app/v1/access-points/${doorId}/openings`, { residentId: RESIDENTS.anna.id })).status;
}

/** A key has opened, says the simulator of a partner, and only once: what had to be asked again has failed. */
async function callOf(partnerId: string): Promise<number | string | null> {
  const deviceId = PARTNERS.find(({ id }) => id === partnerId)?.doorDeviceId ?? '';
  const body = { eventId: randomUUID(), deviceId, keyId: 'key-1', at: new Date().toISOString() };
  const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/company-calls`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      path: '/partner/v1/webhooks/key-openings',
      body,
      idempotencyKey: body.eventId,
      attempts: 1,
    }),
  });
  const { status, attempts } = (await answer.json()) as { status: number | null; attempts: number };
  return attempts === 1 ? status : `${String(status)} after ${attempts.toString()} tries`;
}

/** Opens doors through our API and lets partners call it, without a pause. */
function traffic() {
  const failed: string[] = [];
  const made = new Map<string, number>();
  let isOn = true;
  async function endlessly(who: string, ask: () => Promise<number | string | null>): Promise<void> {
    made.set(who, 0);
    while (isOn) {
      const status = await ask().catch((error: unknown) => String(error));
      made.set(who, (made.get(who) ?? 0) + 1);
      if (status !== 200 && status !== 202) failed.push(`${who}: ${String(status)}`);
      await pause(20);
    }
  }
  /** A token and connections of its own, and another one now and then, as its end comes. */
  async function opener(partnerId: string, index: number): Promise<void> {
    const options = { apiUrl: h.apiUrl, caPem: h.caPem, clientId: APP_CLIENT_ID, keepTryingMs: 0 };
    const renewed = () => createAppBackend({ ...options, clientSecret: h.secrets.appClient.value });
    let app = renewed();
    let left = REQUESTS_OF_A_TOKEN;
    await endlessly(`opening ${index.toString()} at ${partnerId}`, async () => {
      if (left-- === 0) {
        await app.close();
        [app, left] = [renewed(), REQUESTS_OF_A_TOKEN - 1];
      }
      return openDoor(app, partnerId);
    });
    await app.close();
  }
  // shlagbaum has two machines: one shows a new certificate at once, the other when it is told to.
  const shown = [firstCertificate(h), firstCertificate(h)];
  const machines = [0, 1].map((index) =>
    endlessly(`call of shlagbaum ${index.toString()}`, async () => {
      const certificate = shown[index];
      if (!certificate) throw new Error('no certificate');
      return (await presenting(h, certificate).call('GET', '/partner/v1/obligations')).status;
    }),
  );
  const callers = [
    ...PARTNERS.flatMap(({ id }) => [1, 2].map((index) => opener(id, index))),
    ...['kluch', 'vizor'].map((id) => endlessly(`call of ${id}`, () => callOf(id))),
    ...machines,
  ];
  return {
    shown,
    /** Ends when each has asked so often since: what was on its way is over, and no token is left of before. */
    async passed(requests: number): Promise<void> {
      const before = new Map(made);
      const hasPassed = (): boolean => [...made].every(([who, count]) => count - (before.get(who) ?? 0) >= requests);
      await until('everybody has asked', () => Promise.resolve(hasPassed()));
    },
    /** @param atLeast what each is to have asked */
    async stop(atLeast: number) {
      await until('everybody has asked enough', () => Promise.resolve(Math.min(...made.values()) >= atLeast));
      isOn = false;
      await Promise.all(callers);
      return { made, failed };
    },
  };
}

/** Announces the next key of kluch and the next certificate of shlagbaum, whose first machine shows it at once. */
async function announce({ shown }: ReturnType<typeof traffic>) {
  const { answer, own } = await credentials.announceMessageKey('kluch-2');
  expect(answer.status).toBe(202);
  await credentials.adopt('kluch', own);
  const next = await nextCertificate(h);
  const path = '/partner/v1/credentials';
  expect((await presenting(h, firstCertificate(h)).call('POST', path, next.body)).status).toBe(202);
  shown[0] = next;
  return next;
}

it('no opening and no partner’s call fails while every credential is replaced, retired, and revoked at once', async () => {
  const isInUse = async (each: CredentialRef, version: number) =>
    (await credentials.versions(each)).some((found) => found.version === version && found.state === 'active');
  // A secret that we issued lay in no vault until now.
  const second = (each: CredentialRef): number => (each.direction === 'issued' ? 1 : 2);
  for (const each of CREDENTIALS) await credentials.age(each, 25);

  // The first one of a worker that has just begun may take longer than an opening has.
  for (const { id } of PARTNERS) await until(`${id} opens`, async () => (await openDoor(h.app, id)) === 200);
  // The first message of a partner tells us what it proves itself by.
  await until('partners are known', async () => (await callOf('kluch')) === 202 && (await callOf('vizor')) === 202);
  const signedBefore = signerOf(await newAppToken(h));
  const running = traffic();
  await running.passed(1);
  for (const each of CREDENTIALS) await credentials.start(each);
  for (const each of OWN) await replaceNow(h.temporal.client, each);
  const next = await announce(running);
  await until('all are in use', async () =>
    (await Promise.all(ALL.map((each) => isInUse(each, second(each))))).every(Boolean),
  );

  await until('the API signs with the new one', async () => signerOf(await newAppToken(h)) !== signedBefore);

  // The overlap: old and new are shown, and tokens of before run out.
  await running.passed(REQUESTS_OF_A_TOKEN);
  running.shown[1] = next;
  await credentials.adopt('vizor', {});
  await running.passed(1);
  // An execution that ends early leaves the end of the overlap to the next one, which does not wait a day for it.
  for (const each of ALL) {
    await h.temporal.client.workflow.getHandle(rotationOf(each)).terminate('the overlap is over');
    await credentials.start(each);
  }
  await until('all of before are refused', async () => {
    const all = await Promise.all(ALL.map((each) => credentials.versions(each)));
    return all.every(([newest, ...older]) => newest?.state === 'active' && older.every(({ destroyed }) => destroyed));
  });
  await running.passed(1);

  // And the next follows without any overlap, of what we show and of the key of our answers.
  const revoked = [...PRESENTED, MESSAGE_SIGNING_KEY];
  for (const each of revoked) await credentials.revoke(each);
  await until('all are replaced again', async () => {
    const all = await Promise.all(revoked.map((each) => credentials.versions(each)));
    return all.every(([newest, ...older]) => newest?.version === 3 && older.every(({ destroyed }) => destroyed));
  });
  const { made, failed } = await running.stop(REQUESTS_AT_LEAST);
  expect(failed).toEqual([]);
  const total = [...made.values()].reduce((sum, count) => sum + count, 0);
  console.info(`${total.toString()} requests, ${failed.length.toString()} failed`);
}, 180_000);
