import { randomBytes, randomUUID } from 'node:crypto';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { ErasedHolderActivities } from '../../activities/erased-holders';
import type { ErasureActivities } from '../../activities/erasure';
import { dataConverterWith } from '../../config/temporal';
import type { ErasureStanding } from '../../contracts/erasure';
import { createWorker } from '../../workers/worker';
import type { erasureWorkflow } from '../../workflows/erasure/workflow';
import { startSkippingServer } from '../support/harness';
import { workflowBundle } from '../support/workflow-bundle';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

type Steps = { -readonly [Name in keyof (ErasureActivities & ErasedHolderActivities)]: (...args: never[]) => unknown };
type Run = { readonly startMs: number; readonly taskQueue: string; readonly calls: readonly Call[] };
type Call = { level: number; reason: string; afterMs: number };

/** Of a kind that is not written into the log at each of its tries. */
const FAILURE = ApplicationFailure.create({
  message: 'the store does not answer',
  category: ApplicationFailureCategory.BENIGN,
});
const WORKING: Partial<Steps> = {
  removeExecutions: () => 0,
  enterLedger: () => undefined,
  eraseRows: () => true,
  searchEverywhere: () => ({ searchedAt: '', places: 1, found: [] }),
};

/** The process alone, against steps that do what each test wants, on a server that skips time. */
describe('the process of an erasure', () => {
  const dataConverter = dataConverterWith({ keys: new Map([['test', randomBytes(32)]]), currentId: 'test' });
  let temporal: TestWorkflowEnvironment;
  beforeAll(async () => {
    temporal = await startSkippingServer(dataConverter);
  }, 120_000);
  afterAll(() => temporal.teardown());

  /** @returns the calls to a person until the process has ended */
  async function callsOf(stepsFor: (run: Run) => Partial<Steps>) {
    const startMs = await temporal.currentTimeMs();
    const taskQueue = `steps-${randomUUID()}`;
    const calls: Call[] = [];
    const steps: Partial<Steps> = {
      escalateErasure: async (_id: string, { level, reason }: Call) => {
        calls.push({ level, reason, afterMs: (await temporal.currentTimeMs()) - startMs });
      },
      ...WORKING,
      ...stepsFor({ startMs, taskQueue, calls }),
    };
    const worker = await createWorker({
      connection: temporal.nativeConnection,
      namespace: temporal.namespace ?? 'default',
      taskQueue,
      activities: steps,
      workflows: { workflowBundle: workflowBundle() },
      dataConverter,
    });
    const workflowId = `erasure/${randomUUID()}`;
    await worker.runUntil(async () => {
      const started = await temporal.client.workflow.start<typeof erasureWorkflow>('erasureWorkflow', {
        workflowId,
        taskQueue,
        args: [{ erasureId: randomUUID() }],
      });
      await started.result();
    });
    return calls;
  }

  const standingAt = (startMs: number, more: Partial<ErasureStanding>): ErasureStanding => ({
    state: 'waiting',
    warnAt: new Date(startMs + 10 * MINUTE_MS).toISOString(),
    dueAt: new Date(startMs + 30 * MINUTE_MS).toISOString(),
    pending: [],
    followUpAt: null,
    holders: [],
    ...more,
  });

  it.each([
    'surveyErasure',
    'removeExecutions',
    'enterLedger',
    'eraseRows',
    'searchEverywhere',
    'certifyErasure',
  ] as const)(
    'calls a person when the time is over though %s keeps failing, and goes on when it works',
    async (failing) => {
      const calls = await callsOf(({ startMs, calls }) => {
        let state: ErasureStanding['state'] = 'waiting';
        const steps: Partial<Steps> = {
          ...WORKING,
          surveyErasure: () => standingAt(startMs, { state }),
          readErasure: () => standingAt(startMs, { state }),
          certifyErasure: () => void (state = 'closed'),
        };
        const works = steps[failing];
        const fails = () => {
          if (calls.length === 0) throw FAILURE;
          return works?.();
        };
        return { ...steps, [failing]: fails };
      });
      expect(calls).toMatchObject([{ level: 2, reason: 'overdue' }]);
      // The step is let go after an hour; its last try may have begun just before.
      expect(calls[0]?.afterMs).toBeGreaterThanOrEqual(30 * MINUTE_MS);
      expect(calls[0]?.afterMs).toBeLessThanOrEqual(HOUR_MS + 5 * MINUTE_MS);
    },
  );

  it('calls a person every day about a holder that is asked once more and does not answer, and closes when it does', async () => {
    const calls = await callsOf(({ startMs, taskQueue, calls }) => {
      let state: ErasureStanding['state'] = 'erased';
      const followUp = {
        followUpAt: new Date(startMs).toISOString(),
        followUpLateAt: new Date(startMs + DAY_MS).toISOString(),
      };
      return {
        surveyErasure: () =>
          standingAt(startMs, {
            ...followUp,
            state,
            holders: [{ holderId: randomUUID(), integration: taskQueue, isFound: false }],
          }),
        askErasedHolder: () => (calls.length < 2 ? 'PartnerUnavailable' : 'gone'),
        closeErasure: () => void (state = 'closed'),
      };
    });
    expect(calls).toMatchObject([
      { level: 1, reason: 'follow-up-unanswered' },
      { level: 2, reason: 'follow-up-unanswered' },
    ]);
    for (const { level, afterMs } of calls) {
      expect(afterMs).toBeGreaterThanOrEqual(level * DAY_MS);
      expect(afterMs).toBeLessThanOrEqual(level * DAY_MS + HOUR_MS + MINUTE_MS);
    }
  });
});
