import { randomUUID } from 'node:crypto';
import { createHousekeepingActivities } from '../../activities/housekeeping';
import { processesOf } from '../../workers/core';
import { createWorker } from '../../workers/worker';
import { parseKeyRing } from '../../config/environment';
import { dataConverterWith } from '../../config/temporal';
import { openDatabase } from '../../prisma/database';
import { breakPartner, configurePartner, mendEverything } from '../support/faults';
import { noLedger } from '../support/core';
import { createHarness, type Harness } from '../support/harness';
import { partnerOf, residentOf } from '../support/resident';
import { ended, until } from '../support/until';
import { workflowBundle } from '../support/workflow-bundle';

const vizor = partnerOf('vizor');
const kluch = partnerOf('kluch');
const shlagbaum = partnerOf('shlagbaum');

describe('a withdrawal', () => {
  let h: Harness;
  let resident: ReturnType<typeof residentOf>;
  beforeAll(async () => {
    h = await createHarness();
    resident = residentOf(h);
  }, 120_000);
  afterAll(() => h.close());
  afterEach(async () => {
    jest.restoreAllMocks();
    await mendEverything(h);
  });

  const photos = () => h.owner.stagedPhoto.count();
  const templates = (partnerId: string) => h.owner.faceTemplate.count({ where: { partnerId } });

  it.each([kluch, shlagbaum])(
    'deletes the face at $id, which holds it, and is over when that confirmed',
    async (partner) => {
      const { consentId, enrollmentId } = await resident.enrolled(partner);
      expect((await resident.atTheDoor(partner)).company?.status).toBe(200);
      const answer = await resident.withdraw(consentId);
      expect([answer.status, answer.body['status']]).toEqual([200, 'withdrawn']);
      await resident.deleted(consentId);
      expect(await resident.held(partner)).toEqual([]);
      expect((await resident.atTheDoor(partner)).seen).toBe('no-match');
      expect((await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`)).body['state']).toBe('deleted');
      expect(await resident.journal(consentId)).toEqual([
        'consent granted',
        'consent withdrawn',
        'biometric-deletion requested',
        'biometric-deletion deleted',
      ]);
      await ended(h, `consent/${consentId}`);
    },
  );

  it('deletes a face as well that only the partner knows of, because its plugin brought it', async () => {
    const { consentId } = await resident.enrolled(shlagbaum);
    await h.owner.enrollment.deleteMany({ where: { consentId } });
    expect(await resident.held(shlagbaum)).not.toEqual([]);
    await resident.withdraw(consentId);
    await resident.deleted(consentId);
    expect(await resident.held(shlagbaum)).toEqual([]);
  });

  it('deletes the template that we hold ourselves, and no index remembers it, whether or not anybody asks again', async () => {
    const { consentId } = await resident.enrolled(vizor);
    expect((await resident.atTheDoor(vizor)).company?.status).toBe(200);
    expect(h.facesInMemory()).toEqual([{ houseId: vizor.houseId, partnerId: 'vizor' }]);
    await resident.withdraw(consentId);
    await until('no face is in memory', () => Promise.resolve(h.facesInMemory().length === 0));
    const { company } = await resident.atTheDoor(vizor);
    expect(company?.status).toBe(403);
    const opening = await h.owner.opening.findUniqueOrThrow({ where: { id: String(company?.body['openingId']) } });
    // Nobody is known by that face any more: it is not only refused.
    expect(opening).toMatchObject({ reason: 'identity-unknown', residentId: null });
    await resident.deleted(consentId);
    expect(await templates('vizor')).toBe(0);
  });

  it('denies at once and stands when no process could be told, and the scheduled tidying deletes all the same', async () => {
    const { consentId } = await resident.enrolled(kluch);
    // As if the process had died right after its commit.
    jest.spyOn(h.temporal.client.workflow, 'start').mockRejectedValue(new Error('gone'));
    jest.spyOn(h.temporal.client.workflow, 'getHandle').mockImplementation(() => {
      throw new Error('gone');
    });
    const answer = await resident.withdraw(consentId);
    jest.restoreAllMocks();
    expect([answer.status, answer.body['status']]).toEqual([200, 'withdrawn']);
    expect(await resident.held(kluch)).toHaveLength(1);
    const { company } = await resident.atTheDoor(kluch);
    expect(company?.status).toBe(403);
    const opening = await h.owner.opening.findUniqueOrThrow({ where: { id: String(company?.body['openingId']) } });
    expect(opening.reason).toBe('consent-missing');

    await tidy(h);
    await resident.deleted(consentId);
    expect(await resident.held(kluch)).toEqual([]);
  });

  it('is taken up by a repeat of the request as well', async () => {
    const { consentId } = await resident.enrolled(kluch);
    jest.spyOn(h.temporal.client.workflow, 'start').mockRejectedValue(new Error('gone'));
    jest.spyOn(h.temporal.client.workflow, 'getHandle').mockImplementation(() => {
      throw new Error('gone');
    });
    await resident.withdraw(consentId);
    jest.restoreAllMocks();
    expect((await resident.withdraw(consentId)).status).toBe(200);
    await resident.deleted(consentId);
    expect(await resident.held(kluch)).toEqual([]);
  });

  describe('in the middle of an enrollment', () => {
    /** Lets the minute pass after which no late photo can come any more. */
    async function settled(consentId: string): Promise<void> {
      await until('the deletion is confirmed', async () => {
        await h.temporal.sleep('1 minute');
        return (await resident.consent(consentId)).deletion?.state === 'deleted';
      });
    }

    /**
     * Until then an enrollment may end by itself while it is being cancelled: the time-skipping server then gives who
     * cancels it no answer, now and then, which the real one does.
     */
    const onTheWire = (partnerId: string) =>
      until('the photo is on the wire', async () => {
        const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/faults`);
        const { faults } = (await answer.json()) as { faults: { struck: number }[] };
        return faults.some(({ struck }) => struck > 0);
      });

    async function cancelled(enrollmentId: string): Promise<void> {
      await ended(h, `enrollment/${enrollmentId}`);
      expect((await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`)).body['state']).toBe('cancelled');
    }

    it('before the photo was sent: it never is, and is gone', async () => {
      await breakPartner(h, 'kluch', { endpoint: 'faces', fault: 'error' });
      const consentId = await resident.consentTo('kluch');
      const enrollmentId = String((await resident.upload(kluch, consentId)).body['enrollmentId']);
      expect(await photos()).toBe(1);
      // Its next try is then half a minute away. The time-skipping server would try it although it was cancelled, if its
      // execution were still there, and skip no more time from then on.
      await h.temporal.sleep('1 minute');
      await resident.withdraw(consentId);
      await cancelled(enrollmentId);
      await mendEverything(h);
      await settled(consentId);
      expect(await photos()).toBe(0);
      expect(await h.sandbox.effects('kluch', `enroll/${enrollmentId}`)).toBe(0);
      expect(await resident.held(kluch)).toEqual([]);
    });

    it('while the photo is on the wire: the undo waits for it, and nothing is left', async () => {
      await breakPartner(h, 'kluch', { endpoint: 'faces', fault: 'delay', delayMs: 1_500, times: 1 });
      const consentId = await resident.consentTo('kluch');
      const enrollmentId = String((await resident.upload(kluch, consentId)).body['enrollmentId']);
      await onTheWire('kluch');
      await resident.withdraw(consentId);
      await cancelled(enrollmentId);
      await settled(consentId);
      expect(await h.sandbox.effects('kluch', `enroll/${enrollmentId}`)).toBe(1);
      expect(await photos()).toBe(0);
      expect(await resident.held(kluch)).toEqual([]);
    });

    it('while the partner works on it: the partner lets go of it', async () => {
      await configurePartner(h, 'shlagbaum', { enrollment: 'manual' });
      const consentId = await resident.consentTo('shlagbaum');
      const enrollmentId = String((await resident.upload(shlagbaum, consentId)).body['enrollmentId']);
      await until('the partner has it', async () => (await resident.held(shlagbaum)).length === 1);
      await resident.withdraw(consentId);
      await cancelled(enrollmentId);
      await configurePartner(h, 'shlagbaum', { enrollment: 'automatic' });
      await settled(consentId);
      expect(await photos()).toBe(0);
      expect(await resident.held(shlagbaum)).toEqual([]);
    });

    it('while a vector is computed for us: none stays', async () => {
      await breakPartner(h, 'vizor', { endpoint: 'face-vectors', fault: 'delay', delayMs: 1_000, times: 1 });
      const consentId = await resident.consentTo('vizor');
      const enrollmentId = String((await resident.upload(vizor, consentId)).body['enrollmentId']);
      await onTheWire('vizor');
      await resident.withdraw(consentId);
      await cancelled(enrollmentId);
      await settled(consentId);
      expect(await photos()).toBe(0);
      expect(await templates('vizor')).toBe(0);
    });
  });

  it('keeps trying through garbage, lost answers and refusals of the partner', async () => {
    const { consentId } = await resident.enrolled(kluch);
    await breakPartner(h, 'kluch', { endpoint: 'face-deletions', fault: 'garbage', times: 1 });
    await resident.withdraw(consentId);
    await resident.deleted(consentId);
    expect(await resident.held(kluch)).toEqual([]);
    expect(await h.sandbox.effects('kluch', `delete/${consentId}/${kluch.houseId}/0`)).toBe(1);
  });

  it('ends on the partner’s own report, asked for and confirmed', async () => {
    const { consentId } = await resident.enrolled(kluch);
    await breakPartner(h, 'kluch', { endpoint: 'face-deletions', fault: 'pending', delayMs: 1_500, times: 1 });
    await resident.withdraw(consentId);
    await resident.deleted(consentId);
    expect(await resident.held(kluch)).toEqual([]);
    expect(await h.owner.partnerEvent.count({ where: { partnerId: 'kluch', kind: 'deletion' } })).toBeGreaterThan(0);
  });

  it('ends every consent of the resident to that partner, and none to another', async () => {
    const { consentId } = await resident.enrolled(kluch);
    const second = await resident.consentTo('kluch');
    const elsewhere = await resident.consentTo('shlagbaum');
    await resident.withdraw(second);
    await resident.deleted(second);
    expect(await resident.consent(consentId)).toMatchObject({ status: 'withdrawn', deletion: { state: 'deleted' } });
    expect((await resident.consent(elsewhere)).status).toBe('granted');
    await ended(h, `consent/${consentId}`);
  });

  it('is refused clearly for what is not there, was never granted or has expired', async () => {
    const unknown = await resident.withdraw(randomUUID());
    const noId = await h.app.post('/app/v1/consents/x/withdrawal', {});
    const granted = await resident.consentTo('vizor');
    const outcomes: unknown[] = [];
    for (const status of ['offered', 'expired']) {
      await h.owner.consent.update({ where: { id: granted }, data: { status } });
      const { status: code, body } = await resident.withdraw(granted);
      outcomes.push([code, body['type']]);
    }
    expect([unknown.status, noId.status]).toEqual([404, 400]);
    expect(outcomes).toEqual([
      [409, '/problems/consent-state-conflict'],
      [409, '/problems/consent-state-conflict'],
    ]);
    expect(await h.owner.biometricDeletion.count({ where: { id: granted } })).toBe(0);
  });

  it('asked for twenty times at once is one', async () => {
    const { consentId } = await resident.enrolled(vizor);
    const answers = await Promise.all(Array.from({ length: 20 }, () => resident.withdraw(consentId)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    await resident.deleted(consentId);
    expect((await resident.journal(consentId)).filter((line) => line === 'consent withdrawn')).toHaveLength(1);
    expect((await resident.journal(consentId)).filter((line) => line === 'biometric-deletion deleted')).toHaveLength(1);
  });
});

/** What the time-skipping server does not do as a real one does: executions that begin others, are not there or are ended. */
describe('a withdrawal, on a real server,', () => {
  let h: Harness;
  let resident: ReturnType<typeof residentOf>;
  beforeAll(async () => {
    h = await createHarness({ server: 'real' });
    resident = residentOf(h);
  }, 120_000);
  afterAll(() => h.close());
  afterEach(async () => {
    jest.restoreAllMocks();
    await mendEverything(h);
  });

  /** The process dies, as it were, instead of beginning executions of this kind. */
  function failToStart(workflowType: string): void {
    const start = h.temporal.client.workflow.start.bind(h.temporal.client.workflow);
    jest
      .spyOn(h.temporal.client.workflow, 'start')
      .mockImplementation((type, options) =>
        type === workflowType ? Promise.reject(new Error('gone')) : start(type, options),
      );
  }

  it('is taken up by the execution of the consent as well', async () => {
    const { consentId } = await resident.enrolled(shlagbaum);
    failToStart('biometricDeletionWorkflow');
    await resident.withdraw(consentId);
    await resident.deleted(consentId);
    expect(await resident.held(shlagbaum)).toEqual([]);
  });

  it('closes an enrollment that was written down and never began', async () => {
    failToStart('enrollmentWorkflow');
    const consentId = await resident.consentTo('vizor');
    // The careful client of the story repeats what failed, until it hears that the consent has ended.
    const upload = resident.upload(vizor, consentId);
    await until('it is staged', async () => (await h.owner.enrollment.count({ where: { consentId } })) === 1);
    await resident.withdraw(consentId);
    await resident.deleted(consentId);
    expect((await upload).status).toBe(403);
    const { state } = await h.owner.enrollment.findFirstOrThrow({ where: { consentId } });
    expect(state).toBe('cancelled');
    expect(await h.owner.stagedPhoto.count()).toBe(0);
    expect(await h.owner.faceTemplate.count()).toBe(0);
  });

  it('is begun again by the tidying when somebody ended its execution by hand', async () => {
    await breakPartner(h, 'kluch', { endpoint: 'face-deletions', fault: 'error' });
    const { consentId } = await resident.enrolled(kluch);
    await resident.withdraw(consentId);
    await until('it was asked', async () =>
      (await resident.journal(consentId)).includes('biometric-deletion requested'),
    );
    await h.temporal.client.workflow.getHandle(`deletion/${consentId}`).terminate('by hand');
    await mendEverything(h);
    await tidy(h);
    await resident.deleted(consentId);
    expect(await resident.held(kluch)).toEqual([]);
  });
});

/** One round of the scheduled tidying, by a worker with the rights of `core` and no others. */
async function tidy(h: Harness): Promise<void> {
  const database = openDatabase(h.db.urlFor('domovoy_core'), 2);
  const deps = { database, subjects: h.subjects, ...noLedger, ...processesOf(h.temporal.client) };
  const worker = await createWorker({
    connection: h.temporal.nativeConnection,
    namespace: h.temporal.namespace ?? 'default',
    taskQueue: 'core',
    activities: createHousekeepingActivities(deps),
    workflows: { workflowBundle: workflowBundle() },
    dataConverter: dataConverterWith(parseKeyRing(h.secrets.payloadKeys.value)),
  });
  const workflowId = `housekeeping-${randomUUID()}`;
  await worker.runUntil(async () => {
    await h.temporal.client.workflow.start('housekeepingWorkflow', { workflowId, taskQueue: 'core', args: [] });
    await ended(h, workflowId);
  });
  await database.$disconnect();
}
