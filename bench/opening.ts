import { randomUUID } from 'node:crypto';
import { Client, Connection, WithStartWorkflowOperation } from '@temporalio/client';
import { Pool } from 'undici';
import { projectFile } from '../config/project-root';
import { parseKeyRing } from '../config/environment';
import { openDatabase } from '../prisma/database';
import type { Stack } from '../stack/stack';
import { NAMESPACE } from '../stack/temporal-server';
import { APP_CLIENT_ID, PARTNERS, SERVICE } from '../stack/town';
import { localKeyEncryption } from '../vault/key-encryption';
import { openKeyStore } from '../vault/key-store';
import { createSubjectVault } from '../vault/subject-keys';
import { interleavedLatencies, interleavedThroughput, Missed, perSecond, type Twins, type Work } from './interleave';
import { createProcessorCount, type PerUnit } from './processor-time';
import { mean, median, percentile, rounded } from './statistics';
import { awaitOutcome } from './twin/messages';
import { BARE_TASK_QUEUE } from './twin/queue';
import type { noopWorkflow } from './twin/workflow';

const CALLERS = 32;
/** Flats with an owner and an account each: nobody's row is everybody's. */
const HOUSEHOLDS = 64;
/** Long, because V8 compiles what an opening runs through for hundreds of openings, and a twin's little at once. */
const WARM_UP = { units: 100, crowdMs: 16_000 };
const LATENCY = { blocks: 40, unitsPerBlock: 25, withinMs: 60_000 };
const CROWD = { blocks: 10, blockMs: 3_000, withinMs: 70_000 };
/** Where its health port lies, from the last worker’s: free of every other. */
const HEALTH_PORT_OFFSET = 50;

export type OpeningFigures = Awaited<ReturnType<typeof measureOpening>>['figures'];

/**
 * An opening on demand from end to end (HTTPS, token, PostgreSQL, Temporal, worker, billing, the partner's device)
 * against a bare Update-with-Start of a workflow that does nothing, on the same Temporal server at the same time.
 */
export async function measureOpening(stack: Stack) {
  await startBareWorker(stack);
  const residents = await settle(stack);
  const opening = await createOpeningTwin(stack, residents);
  const bare = await createBareTwin(stack);
  const twins: Twins<Work> = { measured: opening.work, bare: bare.work };
  try {
    const now = (): number => performance.now();
    const warmUp = { blocks: 1, untilMs: Infinity };
    await interleavedLatencies(twins, { ...warmUp, unitsPerBlock: WARM_UP.units });
    await interleavedThroughput(twins, { ...warmUp, callers: CALLERS, blockMs: WARM_UP.crowdMs });
    const latencies = await interleavedLatencies(twins, { ...LATENCY, untilMs: now() + LATENCY.withinMs });
    const pids = () => stack.pids();
    const processor = { measured: createProcessorCount(pids), bare: createProcessorCount(pids) };
    const crowd = await interleavedThroughput(twins, {
      ...CROWD,
      callers: CALLERS,
      untilMs: now() + CROWD.withinMs,
      around: (side, run) => processor[side].of(run),
    });
    const processorMs = { measured: processor.measured.perUnit(), bare: processor.bare.perUnit() };
    return { figures: figuresOf(latencies, crowd, processorMs), latencies };
  } finally {
    await opening.close();
    await bare.close();
  }
}

type Crowd = Awaited<ReturnType<typeof interleavedThroughput>>;

function figuresOf(latencies: Twins<number[]>, crowd: Crowd, processorMs: Twins<PerUnit | null>) {
  const p = (side: keyof Twins<unknown>, share: number): number => percentile(latencies[side], share);
  const throughput = { measured: perSecond(crowd.measured), bare: perSecond(crowd.bare) };
  const raw = (side: keyof Twins<unknown>) => ({
    oneCaller: spread(latencies[side]),
    callers32: {
      perSecond: throughput[side],
      perSecondByBlock: crowd[side].map(({ units, seconds }) => rounded(units / seconds, 1)),
      missed: crowd[side].reduce((sum, { missed }) => sum + missed, 0),
      processorMs: processorMs[side],
      ...spread(crowd[side].flatMap(({ latenciesMs }) => latenciesMs)),
    },
  });
  return {
    p50Ratio: rounded(p('measured', 0.5) / p('bare', 0.5)),
    p99Ratio: rounded(p('measured', 0.99) / p('bare', 0.99)),
    throughputRatio: rounded(throughput.measured / throughput.bare),
    processorTimeRatio:
      processorMs.measured && processorMs.bare ? rounded(processorMs.bare.all / processorMs.measured.all) : null,
    callers: CALLERS,
    measured: raw('measured'),
    bare: raw('bare'),
  };
}

export const spread = (ms: readonly number[]) => ({
  samples: ms.length,
  p50Ms: rounded(median(ms), 2),
  p90Ms: rounded(percentile(ms, 0.9), 2),
  p99Ms: rounded(percentile(ms, 0.99), 2),
  meanMs: rounded(mean(ms), 2),
});

/** The worker of the bare twin, one process more in the same stack. */
export async function startBareWorker(stack: Stack): Promise<void> {
  const { ports } = stack;
  const healthPort = ports.coreHealth + HEALTH_PORT_OFFSET;
  await stack.start({
    name: 'bench-bare',
    command: process.execPath,
    args: [projectFile('dist/bench/twin/main.js')],
    env: {
      NODE_ENV: 'production',
      TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal.toString()}`,
      TEMPORAL_NAMESPACE: NAMESPACE,
      HEALTH_PORT: healthPort.toString(),
    },
    node: true,
    ready: async () => (await fetch(`http://127.0.0.1:${healthPort.toString()}/health/ready`)).ok,
  });
}

/** Moves people into the first partner's house and has billing say that they have paid. */
export async function settle({ ownerUrl, keyStoreOwnerUrl, ports, secrets }: Stack): Promise<string[]> {
  const [partner] = PARTNERS;
  const households = Array.from({ length: HOUSEHOLDS }, () => ({
    residentId: randomUUID(),
    propertyId: randomUUID(),
    accountId: randomUUID(),
  }));
  const database = openDatabase(ownerUrl, 1);
  const keyStore = openKeyStore(keyStoreOwnerUrl, 1);
  try {
    await database.resident.createMany({ data: households.map(({ residentId }) => ({ id: residentId })) });
    const ring = parseKeyRing(secrets.keyEncryptionKeys.value);
    const subjects = createSubjectVault(localKeyEncryption(ring.keys, ring.currentId), keyStore);
    for (const { residentId } of households) await subjects.createKey(database, residentId);
    await database.property.createMany({
      data: households.map(({ propertyId, accountId }) => ({
        id: propertyId,
        houseId: partner?.houseId ?? '',
        kind: 'flat',
        billingAccountId: accountId,
      })),
    });
    await database.propertyRight.createMany({
      data: households.map(({ residentId, propertyId }) => ({
        id: randomUUID(),
        residentId,
        propertyId,
        kind: 'owner',
        startsAt: new Date(0),
      })),
    });
  } finally {
    await database.$disconnect();
    await keyStore.close();
  }
  const control = `http://127.0.0.1:${ports.billingControl.toString()}/control/accounts`;
  for (const { accountId } of households) {
    const { ok } = await fetch(`${control}/${accountId}/services/${SERVICE}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ standing: 'paid' }),
    });
    if (!ok) throw new Error('Billing did not take an account.');
  }
  return households.map(({ residentId }) => residentId);
}

export type Twin = { readonly work: Work; readonly close: () => Promise<void> };

/** The app's backend: one token while it lives, connections kept, and nothing counts but a door that opened. */
export async function createOpeningTwin({ apiUrl, companyCaPem, secrets }: Stack, residents: string[]): Promise<Twin> {
  const api = new Pool(apiUrl, { connections: CALLERS, connect: { ca: companyCaPem } });
  const post = async (path: string, headers: Record<string, string>, body: string) => {
    const answer = await api.request({ method: 'POST', path, headers, body });
    return { status: answer.statusCode, body: (await answer.body.json()) as Record<string, unknown> };
  };
  const basic = Buffer.from(`${APP_CLIENT_ID}:${secrets.appClient.value}`).toString('base64');
  const form = { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded' };
  const grant = await post('/oauth/token', form, 'grant_type=client_credentials&scope=app');
  if (grant.status !== 200) throw new Error('There is no token to open doors with.');

  const path = `/app/v1/access-points/${PARTNERS[0]?.doorId ?? ''}/openings`;
  const authorization = `Bearer ${String(grant.body['access_token'])}`;
  const bodies = residents.map((residentId) => JSON.stringify({ residentId }));
  let turn = 0;
  return {
    async work() {
      const headers = { authorization, 'content-type': 'application/json', 'idempotency-key': randomUUID() };
      const { status, body } = await post(path, headers, bodies[turn++ % bodies.length] ?? '');
      // Its not-after time was over first: `opening-expired`, or `opening-unknown` when the command had left.
      if (status === 504) throw new Missed('Too late to open.');
      if (status !== 200 || body['status'] !== 'opened') {
        throw new Error(`An opening was answered with ${status.toString()} ${String(body['type'] ?? body['status'])}.`);
      }
    },
    close: () => api.close(),
  };
}

export async function createBareTwin({ ports }: Stack): Promise<Twin> {
  const connection = await Connection.connect({ address: `127.0.0.1:${ports.temporal.toString()}` });
  const client = new Client({ connection, namespace: NAMESPACE });
  return {
    async work() {
      const workflowId = randomUUID();
      const startWorkflowOperation = new WithStartWorkflowOperation<typeof noopWorkflow>('noopWorkflow', {
        workflowId,
        taskQueue: BARE_TASK_QUEUE,
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
      });
      const updateId = workflowId;
      await client.workflow.executeUpdateWithStart(awaitOutcome, { updateId, startWorkflowOperation });
    },
    close: () => connection.close(),
  };
}
