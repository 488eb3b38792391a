import { randomBytes, randomUUID } from 'node:crypto';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { CredentialRotationActivities } from '../../activities/credential-rotation';
import { dataConverterWith } from '../../config/temporal';
import { CREDENTIAL_LIFE_MS, type CredentialRef } from '../../contracts/credentials';
import { createWorker } from '../../workers/worker';
import type { credentialRotationWorkflow } from '../../workflows/credential-rotation/workflow';
import { startSkippingServer } from '../support/harness';
import { workflowBundle } from '../support/workflow-bundle';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const CREDENTIAL: CredentialRef = { integration: 'smart-home', partnerId: 'p', direction: 'issued', name: 'p' };
/** Of a kind that is not written into the log at each of its tries. */
const FAILURE = ApplicationFailure.create({
  message: 'nothing of ours answers',
  category: ApplicationFailureCategory.BENIGN,
});

/** The process alone, against steps that do what each test wants, on a server that skips time. */
describe('the alarms about a credential that ends', () => {
  const dataConverter = dataConverterWith({ keys: new Map([['test', randomBytes(32)]]), currentId: 'test' });
  let temporal: TestWorkflowEnvironment;
  beforeAll(async () => {
    temporal = await startSkippingServer(dataConverter);
  }, 120_000);
  afterAll(() => temporal.teardown());

  /** @returns the alarms until the credential was replaced, each with the minutes that it came after the beginning */
  async function alarmsOf({ endsInMs, out, urgently }: { endsInMs: number; out?: string; urgently: boolean }) {
    const startMs = await temporal.currentTimeMs();
    const taskQueue = `steps-${randomUUID()}`;
    const alarms: { day: number; afterMinutes: number }[] = [];
    const after = async (): Promise<number> => (await temporal.currentTimeMs()) - startMs;
    let isReplaced = false;
    const step = (name: string, result?: number) => async () => {
      if (name === out && (await after()) < 2 * HOUR_MS) throw FAILURE;
      return result;
    };
    const standing = { pending: null, overlapping: null };
    const issuedAt = new Date(startMs + endsInMs - CREDENTIAL_LIFE_MS).toISOString();
    const steps: Partial<Record<keyof CredentialRotationActivities, (...args: never[]) => unknown>> = {
      credentialStanding: () => (isReplaced ? null : { ...standing, issuedAt }),
      issueCredential: step('issueCredential', 2),
      deliverCredential: step('deliverCredential'),
      proveCredential: step('proveCredential'),
      useCredential: step('useCredential'),
      acceptOnly: step('acceptOnly'),
      retireOlder: step('retireOlder'),
      proveRefused: () => void (isReplaced = true),
      raiseExpiryAlarm: async (_of: CredentialRef, day: number) => {
        alarms.push({ day, afterMinutes: Math.floor((await after()) / MINUTE_MS) });
      },
    };
    const worker = await createWorker({
      connection: temporal.nativeConnection,
      namespace: temporal.namespace ?? 'default',
      taskQueue,
      activities: steps,
      workflows: { workflowBundle: workflowBundle() },
      dataConverter,
    });
    await worker.runUntil(
      temporal.client.workflow.execute<typeof credentialRotationWorkflow>('credentialRotationWorkflow', {
        workflowId: `credential-rotation/${randomUUID()}`,
        taskQueue,
        args: [CREDENTIAL, urgently],
      }),
    );
    return alarms;
  }

  it.each([
    ['the successor cannot be wrapped or stored', 'issueCredential', false],
    ['the successor cannot be taken into use', 'useCredential', false],
    ['the one in wrong hands cannot be ended', 'acceptOnly', true],
    ['the partner does not take the successor', 'deliverCredential', false],
  ])('sound at their moment while %s', async (_, out, urgently) => {
    const [alarm, ...others] = await alarmsOf({ endsInMs: 5 * DAY_MS + HOUR_MS, out, urgently });
    expect(others).toEqual([]);
    expect(alarm?.day).toBe(5);
    expect(alarm?.afterMinutes).toBeGreaterThanOrEqual(60);
    expect(alarm?.afterMinutes).toBeLessThan(65);
  });

  it('sound together when all of their moments are over and the steps do not work', async () => {
    const alarms = await alarmsOf({ endsInMs: -DAY_MS, out: 'issueCredential', urgently: false });
    expect(alarms.map(({ day }) => day)).toEqual([5, 3, 1, 0]);
  });

  it('are silent when the steps work, however late', async () => {
    expect(await alarmsOf({ endsInMs: -DAY_MS, urgently: false })).toEqual([]);
  });
});
