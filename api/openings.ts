import { setTimeout as pause } from 'node:timers/promises';
import { isGrpcDeadlineError, WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import type { AccessMethod, DenialReason } from '../contracts/access';
import { openAccessWorkflowId, type Integration } from '../contracts/ids';
import {
  OPENING_OUTCOMES,
  type OpenAccessRequest,
  type OpenAccessEnd,
  type OpeningOutcome,
  type OpeningView,
} from '../contracts/openings';
import type { Database, Transaction } from '../prisma/database';
import type { openAccessWorkflow } from '../workflows/open-access/workflow';
import { appendJournal, type JournalRecord } from '../journal/journal';
import { appendAbout } from '../journal/subjects';
import type { FactsText } from '../reads/access-facts';
import type { SubjectVault } from '../vault/subject-keys';
import { resourceIdFor } from './idempotency';
import type { Identified } from './identification';
import type { OpeningAnswers } from './opening-answers';
import { HttpProblem } from './problem';

type OpeningRow = NonNullable<Awaited<ReturnType<Database['opening']['findUnique']>>>;
/** What is answered about an opening. */
export type Opening = Pick<
  OpeningRow,
  'id' | 'status' | 'reason' | 'attempts' | 'requestedAt' | 'notAfter' | 'endedAt'
>;

/** The opening that one client, access point and Idempotency-Key name, if it was asked for already. */
export type Named = { readonly openingId: string; readonly earlier: OpeningRow | null };
type OpeningName = { clientId: string; accessPointId: string; key: string };

export const openingIdOf = ({ clientId, accessPointId, key }: OpeningName): string =>
  resourceIdFor(clientId, `open/${accessPointId}`, key);

export const earlierOpening = (database: Database, openingId: string): Promise<OpeningRow | null> =>
  database.opening.findUnique({ where: { id: openingId } });

export async function namedOpening(database: Database, name: OpeningName): Promise<Named> {
  const openingId = openingIdOf(name);
  return { openingId, earlier: await earlierOpening(database, openingId) };
}

/** Over and above the opening's own time: the way back to the caller. */
const ANSWER_SLACK_MS = 1_000;

export type OpeningDependencies = {
  readonly database: Database;
  readonly temporal: Client;
  readonly subjects: SubjectVault;
  /** How long an opening may take, milliseconds. */
  readonly openWithinMs: number;
  readonly answers: OpeningAnswers;
};

export type AccessPointRow = { id: string; partnerId: string; integration: string };

/**
 * Runs one opening and waits for its end, at most until its not-after time is over. A repeat joins the one at work or
 * gets what was written down of it.
 *
 * @throws HttpProblem 422 when the key was used for another request
 */
export async function openAccessPoint(
  deps: OpeningDependencies,
  request: {
    caller: { clientId: string };
    named: Named;
    fingerprint: string;
    accessPoint: AccessPointRow;
    method: AccessMethod;
    /** The facts about who is to be let in, where they were read with something else. */
    facts?: FactsText;
    /** Who is to be let in. `locked`: nobody was looked for, because there was too much guessing. */
    identify: (openingId: string, notAfterMs: number) => Promise<Identified>;
  },
): Promise<Opening> {
  const { caller, accessPoint, fingerprint } = request;
  const { openingId, earlier } = request.named;
  if (earlier) assertSameRequest(earlier.requestSha256, fingerprint);
  if (earlier?.endedAt) return earlier;

  const requestedAt = earlier?.requestedAt ?? new Date();
  const notAfter = earlier?.notAfter ?? new Date(requestedAt.getTime() + deps.openWithinMs);
  const identified = earlier ? known(earlier.residentId) : await request.identify(openingId, notAfter.getTime());
  const opening: OpenAccessRequest = {
    openingId,
    clientId: caller.clientId,
    requestSha256: fingerprint,
    accessPointId: accessPoint.id,
    partnerId: accessPoint.partnerId,
    method: request.method,
    residentId: identified.kind === 'resident' ? identified.residentId : null,
    requestedAt: requestedAt.toISOString(),
    notAfter: notAfter.toISOString(),
    steps: 'one',
    ...(request.facts !== undefined && { facts: request.facts }),
    answerTo: deps.answers.channel,
  };
  if (identified.kind === 'locked') {
    return denyAtOnce(deps, opening, { integration: accessPoint.integration, reason: 'locked-out' });
  }
  if (identified.kind === 'late') return settled(deps, opening, accessPoint.integration);
  const ended = await runToItsEnd(deps, opening, accessPoint.integration as Integration, earlier !== null);
  return ended ?? settled(deps, opening, accessPoint.integration);
}

const known = (residentId: string | null): Identified =>
  residentId === null ? { kind: 'nobody' } : { kind: 'resident', residentId };

/** Guessing must cost us little: a denial that is certain already needs no execution, only its evidence. */
export async function denyAtOnce(
  { database, subjects }: { readonly database: Database; readonly subjects: SubjectVault },
  opening: OpenAccessRequest,
  { integration, reason }: { readonly integration: string; readonly reason: DenialReason },
): Promise<OpeningRow> {
  const { openingId: id, clientId, requestSha256, accessPointId, partnerId, method, residentId } = opening;
  const at = new Date();
  return database.$transaction(async (tx) => {
    const ids = { id, clientId, requestSha256, accessPointId, partnerId, integration, method, residentId };
    const times = { requestedAt: opening.requestedAt, notAfter: opening.notAfter, decidedAt: at, endedAt: at };
    const { count } = await tx.opening.createMany({
      data: [{ ...ids, ...times, status: 'denied', reason }],
      skipDuplicates: true,
    });
    const entry = { integration, objectId: id, actor: clientId, outcome: 'denied', reason } as const;
    if (count > 0) await appendEvidence(tx, subjects, opening, { kind: 'opening', ...entry });
    return tx.opening.findUniqueOrThrow({ where: { id } });
  });
}

/** About whom it was, when it was somebody. */
async function appendEvidence(
  tx: Transaction,
  subjects: SubjectVault,
  { residentId, accessPointId, partnerId, method }: OpenAccessRequest,
  record: JournalRecord,
): Promise<void> {
  if (residentId === null) await appendJournal(tx, record);
  else await appendAbout(tx, subjects, { residentId, details: { accessPointId, partnerId, method } }, record);
}

/**
 * Begins the execution or joins it, and waits until the opening's row has its end: the worker has the database tell it
 * as soon as that is written, which is some milliseconds before Temporal could.
 *
 * @returns how the opening ended; null when the time was over first
 */
async function runToItsEnd(
  { database, temporal, answers }: { database: Database; temporal: Client; answers: OpeningAnswers },
  opening: OpenAccessRequest,
  integration: Integration,
  isRepeated: boolean,
): Promise<Opening | null> {
  const { openingId } = opening;
  const untilMs = Math.max(Date.now(), Date.parse(opening.notAfter)) + ANSWER_SLACK_MS;
  const { answer, forget } = answers.expect(openingId);
  const everyMs = (): number => (isRepeated || !answers.isListening() ? LOOK_EVERY_WHILE_UNTOLD_MS : LOOK_EVERY_MS);
  const isAnswered = new AbortController();
  try {
    return await Promise.race([
      answer.then((end) => toldOpening(openingId, end)),
      failureOf(begin(temporal, opening, integration, untilMs)),
      writtenEnd(database, openingId, { everyMs, untilMs, signal: isAnswered.signal }),
    ]);
  } finally {
    forget();
    isAnswered.abort();
  }
}

/** One that is at work is joined; of one that has ended, the row has the end. */
async function begin(temporal: Client, opening: OpenAccessRequest, taskQueue: Integration, untilMs: number) {
  try {
    await temporal.withDeadline(untilMs, () =>
      temporal.workflow.start<typeof openAccessWorkflow>('openAccessWorkflow', {
        workflowId: openAccessWorkflowId(opening.openingId),
        taskQueue,
        args: [opening],
        workflowIdConflictPolicy: 'USE_EXISTING',
        workflowIdReusePolicy: 'REJECT_DUPLICATE',
        // Found by type, task queue and status: attributes of our own would cost each opening a twentieth of its time.
        staticSummary: `open by ${opening.method}`,
      }),
    );
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError || isGrpcDeadlineError(error)) return;
    throw error;
  }
}

/** Rejects as it does, and else says nothing. */
const failureOf = (work: Promise<void>): Promise<never> =>
  new Promise((_resolve, reject) => {
    work.catch(reject);
  });

/** Nearly every opening is told of long before. */
const LOOK_EVERY_MS = 1_000;
const LOOK_EVERY_WHILE_UNTOLD_MS = 100;

/** What is not told: of an execution that another request began, and while the listening connection is lost. */
async function writtenEnd(
  database: Database,
  openingId: string,
  { everyMs, untilMs, signal }: { everyMs: () => number; untilMs: number; signal: AbortSignal },
): Promise<OpeningRow | null> {
  for (let leftMs = untilMs - Date.now(); leftMs > 0; leftMs = untilMs - Date.now()) {
    await pause(Math.min(everyMs(), leftMs), null, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return null;
    const row = await earlierOpening(database, openingId);
    if (row?.endedAt) return row;
  }
  return null;
}

/** With the times of the request that began it, which may be another one. */
const toldOpening = (id: string, { outcome, reason, at, requestedAt, notAfter }: OpenAccessEnd): Opening => ({
  ...{ id, status: outcome, reason: reason ?? null, attempts: 0 },
  ...{ requestedAt: new Date(requestedAt), notAfter: new Date(notAfter), endedAt: new Date(at) },
});

/**
 * What can be said at the end of the waiting. An opening of which no command left is ended here, in the row that every
 * command has to pass first; so "expired" is a promise that it will not open later. Nobody else will write its evidence.
 */
async function settled(
  { database, subjects }: { database: Database; subjects: SubjectVault },
  opening: OpenAccessRequest,
  integration: string,
): Promise<OpeningRow> {
  const { openingId, clientId, requestSha256, accessPointId, partnerId, method, residentId } = opening;
  const found = await database.opening.findUnique({ where: { id: openingId } });
  if (found?.endedAt) return found;
  return database.$transaction(async (tx) => {
    const ids = { id: openingId, clientId, requestSha256, accessPointId, partnerId, integration, method, residentId };
    const times = { requestedAt: opening.requestedAt, notAfter: opening.notAfter };
    await tx.opening.createMany({ data: [{ ...ids, ...times, status: 'pending' }], skipDuplicates: true });
    const { count } = await tx.opening.updateMany({
      where: { id: openingId, endedAt: null, attempts: 0 },
      data: { status: 'expired', endedAt: new Date() },
    });
    const entry = { integration, objectId: openingId, actor: clientId, outcome: 'expired' } as const;
    if (count > 0) await appendEvidence(tx, subjects, opening, { kind: 'opening', ...entry });
    return tx.opening.findUniqueOrThrow({ where: { id: openingId } });
  });
}

function assertSameRequest(stored: string, fingerprint: string): void {
  if (stored === fingerprint) return;
  throw new HttpProblem({
    status: 422,
    type: 'idempotency-key-reused',
    title: 'The Idempotency-Key was used for another request',
  });
}

const isOutcome = (status: string): status is OpeningOutcome =>
  (OPENING_OUTCOMES as readonly string[]).includes(status);

/** What callers may see of an opening: no reason, nobody's identity. */
export function viewOfOpening(row: Opening): OpeningView {
  const overdue = row.endedAt === null && row.notAfter.getTime() < Date.now();
  return {
    openingId: row.id,
    status: isOutcome(row.status) ? row.status : overdue && row.attempts > 0 ? 'unknown' : 'pending',
    confirmedByDevice: row.status === 'opened',
    requestedAt: row.requestedAt.toISOString(),
    notAfter: row.notAfter.toISOString(),
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}

const REFUSALS: Readonly<Record<Exclude<OpeningOutcome, 'opened'>, { status: number; title: string }>> = {
  denied: { status: 403, title: 'Access is denied' },
  expired: { status: 504, title: 'The time for this opening is over; it will not open' },
  unknown: { status: 504, title: 'The command was sent and not confirmed' },
  failed: { status: 502, title: 'The device could not be reached; it did not open' },
};

/** The view of an opened door, or the problem that says why not as far as this audience may know. */
export function answerForOpening(row: Opening, publicReason: string | null): OpeningView {
  const view = viewOfOpening(row);
  if (view.status === 'opened') return view;
  const outcome = view.status === 'pending' ? 'unknown' : view.status;
  const { status, title } = REFUSALS[outcome];
  throw new HttpProblem({
    status,
    type: outcome === 'denied' ? 'access-denied' : `opening-${outcome}`,
    title,
    extensions: { openingId: view.openingId, ...(publicReason !== null && { reason: publicReason }) },
  });
}
