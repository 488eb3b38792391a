import { randomBytes, randomUUID } from 'node:crypto';
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { ErasedHolderActivities } from '../../activities/erased-holders';
import type { ErasureActivities } from '../../activities/erasure';
import type { PropertySaleActivities } from '../../activities/property-sale';
import { dataConverterWith } from '../../config/temporal';
import type { ErasureStanding } from '../../contracts/erasure';
import type { SaleProgress, SaleState } from '../../contracts/property-sales';
import { createWorker } from '../../workers/worker';
import { startSkippingServer } from '../support/harness';
import { workflowBundle } from '../support/workflow-bundle';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

type Steps = { -readonly [Name in keyof (ErasureActivities & ErasedHolderActivities)]: (...args: never[]) => unknown };
type Run = { readonly startMs: number; readonly taskQueue: string; readonly calls: readonly Call[] };
type Call = { level: number; reason: string; dueAt: string; afterMs: number };

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

/** Processes alone, against steps that do what each test wants, on a server that skips time. */
const dataConverter = dataConverterWith({ keys: new Map([['test', randomBytes(32)]]), currentId: 'test' });
let temporal: TestWorkflowEnvironment;
beforeAll(async () => {
  temporal = await startSkippingServer(dataConverter);
}, 120_000);
afterAll(() => temporal.teardown());

/** Works with these steps until the process has ended. */
async function end(
  taskQueue: string,
  activities: object,
  process: { workflowType: string; workflowId: string; args: unknown[] },
): Promise<unknown> {
  const worker = await createWorker({
    connection: temporal.nativeConnection,
    namespace: temporal.namespace ?? 'default',
    taskQueue,
    activities,
    workflows: { workflowBundle: workflowBundle() },
    dataConverter,
  });
  const { workflowType, ...options } = process;
  return worker.runUntil(async () => {
    const started = await temporal.client.workflow.start(workflowType, { taskQueue, ...options });
    return (await started.result()) as unknown;
  });
}

describe('the process of an erasure', () => {
  /** @returns the calls to a person until the process has ended */
  async function callsOf(stepsFor: (run: Run) => Partial<Steps>) {
    const startMs = await temporal.currentTimeMs();
    const taskQueue = `steps-${randomUUID()}`;
    const calls: Call[] = [];
    const steps: Partial<Steps> = {
      escalateErasure: async (_id: string, { level, reason, dueAt }: Call) => {
        calls.push({ level, reason, dueAt, afterMs: (await temporal.currentTimeMs()) - startMs });
      },
      ...WORKING,
      ...stepsFor({ startMs, taskQueue, calls }),
    };
    await end(taskQueue, steps, {
      workflowType: 'erasureWorkflow',
      workflowId: `erasure/${randomUUID()}`,
      args: [{ erasureId: randomUUID() }],
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

  it('warns and calls again when the time was prolonged and is over once more', async () => {
    const calls = await callsOf(({ startMs, calls }) => {
      const later = { warnAt: new Date(startMs + 2 * HOUR_MS), dueAt: new Date(startMs + 3 * HOUR_MS) };
      const prolonged = { warnAt: later.warnAt.toISOString(), dueAt: later.dueAt.toISOString() };
      return {
        surveyErasure: () =>
          standingAt(startMs, {
            state: calls.length < 4 ? 'waiting' : 'closed',
            pending: ['deletion/x'],
            ...(calls.length >= 2 && prolonged),
          }),
      };
    });
    expect(calls.map(({ level, reason }) => [level, reason])).toEqual([
      [1, 'due-soon'],
      [2, 'overdue'],
      [1, 'due-soon'],
      [2, 'overdue'],
    ]);
    expect(new Set(calls.map(({ dueAt }) => dueAt)).size).toBe(2);
  });

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

describe('the process of a sale', () => {
  type Sale = { -readonly [Name in keyof PropertySaleActivities]: (...args: never[]) => unknown };
  type SaleCall = { partnerId: string | null; level: number; reason: string };

  it.each(['takeSaleEffect', 'tellSalePartners', 'surveySale'] as const)(
    'calls a person though %s keeps failing, and goes on when it works',
    async (failing) => {
      const startMs = await temporal.currentTimeMs();
      const calls: (SaleCall & { afterMs: number })[] = [];
      let [state, isTold]: [SaleState, boolean] = ['scheduled', false];
      const works: Sale = {
        takeSaleEffect: () => (state = 'in-force'),
        tellSalePartners: () => {
          isTold = true;
          return 0;
        },
        surveySale: (): SaleProgress => ({
          state,
          isDone: isTold,
          partners: [{ partnerId: 'kluch', plates: 'none', biometrics: isTold ? 'deleted' : 'deleting' }],
        }),
        raiseSaleEscalation: async (_request: unknown, { partnerId, level, reason }: SaleCall) => {
          calls.push({ partnerId, level, reason, afterMs: (await temporal.currentTimeMs()) - startMs });
        },
      };
      const fails = () => {
        if (calls.length === 0) throw FAILURE;
        return works[failing]();
      };
      const saleId = randomUUID();
      const ended = await end(
        `sale-${saleId}`,
        { ...works, [failing]: fails },
        {
          workflowType: 'propertySaleWorkflow',
          workflowId: `property-sale/${saleId}`,
          args: [{ saleId, effectiveAt: new Date(startMs).toISOString() }],
        },
      );
      expect(ended).toEqual({ state: 'in-force' });
      const ours = { partnerId: null, level: 1, reason: 'StepFailed' };
      const waited = { partnerId: 'kluch', level: 1, reason: 'BiometricsNotDeleted' };
      expect(calls).toMatchObject(failing === 'tellSalePartners' ? [waited, ours] : [ours]);
      for (const { afterMs } of calls) {
        expect(afterMs).toBeGreaterThanOrEqual(HOUR_MS);
        expect(afterMs).toBeLessThanOrEqual(2 * HOUR_MS);
      }
    },
  );

  it('tells partners again soon who could not be told, and waits for no call to do so', async () => {
    let told = 0;
    const steps: Sale = {
      takeSaleEffect: () => 'in-force',
      tellSalePartners: () => (told++ < 2 ? 1 : 0),
      surveySale: (): SaleProgress => ({ state: 'in-force', isDone: told === 3, partners: [] }),
      raiseSaleEscalation: () => Promise.reject(new Error('nobody is to be called')),
    };
    const saleId = randomUUID();
    const effectiveAt = new Date(await temporal.currentTimeMs()).toISOString();
    const process = { workflowType: 'propertySaleWorkflow', workflowId: `property-sale/${saleId}` };
    expect(await end(`sale-${saleId}`, steps, { ...process, args: [{ saleId, effectiveAt }] })).toEqual({
      state: 'in-force',
    });
    expect(told).toBe(3);
  });
});
