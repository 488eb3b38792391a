import { setTimeout as pause } from 'node:timers/promises';
import { PARTNERS, RESIDENTS } from '../../stack/town';
import { CREDENTIALS, credentialsOf, PRESENTED, rotationOf } from '../support/credentials';
import { createHarness, type Harness } from '../support/harness';
import { until } from '../support/until';

let h: Harness;
beforeAll(async () => {
  // On a busy machine an opening may be slow. What is counted here is what a rotation refuses.
  h = await createHarness({ openWithinMs: 20_000 });
}, 120_000);
afterAll(() => h.close());

async function openDoor(partnerId: string): Promise<number> {
  const doorId = PARTNERS.find(({ id }) => id === partnerId)?.doorId ?? '';
  return (await h.app.post(`/app/v1/access-points/${doorId}/openings`, { residentId: RESIDENTS.anna.id })).status;
}

/** Opens doors through our API and lets partners call it, without a pause. @returns every status that was no success */
function traffic() {
  const credentials = credentialsOf(h);
  const failed: string[] = [];
  let made = 0;
  let isOn = true;
  const endlessly = async (what: string, call: () => Promise<number | null>): Promise<void> => {
    while (isOn) {
      const status = await call();
      made++;
      if (status !== 200 && status !== 202) failed.push(`${what}: ${String(status)}`);
      await pause(20);
    }
  };
  const openings = PARTNERS.flatMap(({ id }) => [1, 2].map(() => endlessly(`opening at ${id}`, () => openDoor(id))));
  const calls = ['kluch', 'vizor'].map((id) => endlessly(`call of ${id}`, () => credentials.call(id)));
  return {
    async stop() {
      isOn = false;
      await Promise.all([...openings, ...calls]);
      return { made, failed };
    },
  };
}

it('no opening and no partner’s call fails while every credential is replaced, and then again at once', async () => {
  const credentials = credentialsOf(h);
  const isInUse = async (each: (typeof CREDENTIALS)[number], version: number) =>
    (await credentials.versions(each)).some((found) => found.version === version && found.state === 'active');
  for (const each of CREDENTIALS) await credentials.age(each, 25);

  // The first one of a worker that has just begun may take longer than an opening has.
  for (const { id } of PARTNERS) await until(`${id} opens`, async () => (await openDoor(id)) === 200);
  const running = traffic();
  for (const each of CREDENTIALS) await credentials.start(each);
  await until('all are in use', async () =>
    (await Promise.all(CREDENTIALS.map((each) => isInUse(each, each.direction === 'presented' ? 2 : 1)))).every(
      Boolean,
    ),
  );
  // The overlap ends, and the next follows: without any overlap this time.
  for (const each of PRESENTED) await h.temporal.client.workflow.getHandle(rotationOf(each)).signal('revokeCredential');
  await until('all are replaced again', async () => {
    const all = await Promise.all(PRESENTED.map((each) => credentials.versions(each)));
    return all.every(([newest, ...older]) => newest?.version === 3 && older.every(({ destroyed }) => destroyed));
  });
  const { made, failed } = await running.stop();
  expect(failed).toEqual([]);
  expect(made).toBeGreaterThan(20);
  console.info(`${made.toString()} requests, ${failed.length.toString()} failed`);
}, 120_000);
