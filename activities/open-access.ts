import { cancellationSignal } from '@temporalio/activity';
import { decideAccess } from '../access/decision';
import type { AccessDecision, AccessFacts, BillingStanding, DenialReason } from '../contracts/access';
import { FAILURES } from '../contracts/failures';
import type { Integration } from '../contracts/ids';
import type { OpenAccessRequest, OpenAccessResult, OpeningOutcome } from '../contracts/openings';
import { appendJournal } from '../journal/journal';
import type { BillingPort } from '../partners/billing';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { PartnerGateway } from '../partners/ports';
import { sql, type Database, type Transaction } from '../prisma/database';
import { loadAccessFacts, type LoadedFacts } from '../reads/access-facts';

type BillingQuestion = { accountIds: string[]; service: string };
type Assessment =
  | { kind: 'ended'; result: OpenAccessResult }
  /** Billing was asked and has answered. */
  | { kind: 'billing-known'; standing: BillingStanding | 'unavailable' }
  /** Billing was not asked, or gave no answer: it is worth asking again. */
  | { kind: 'ask-billing'; billing: BillingQuestion };

export type OpenAccessActivities = ReturnType<typeof createOpenAccessActivities>;

/**
 * Effects of one opening. The row in `openings` is the fence: it is written before a command leaves, and an opening
 * that has ended, here or because the API gave up waiting, is never commanded again.
 */
export function createOpenAccessActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
  billing: BillingPort;
  policy: AccessFacts['policy'];
  /** Time of one try at billing, milliseconds. */
  billingTimeoutMs: number;
}) {
  const { database, policy } = deps;

  async function assess(
    tx: Transaction,
    request: OpenAccessRequest,
    billing: AccessFacts['billing'],
  ): Promise<LoadedFacts & { decision: AccessDecision; decidedAt: Date }> {
    const nowMs = Date.now();
    const loaded = await loadAccessFacts(tx, request, nowMs);
    const decision = decideAccess({ ...loaded.facts, nowMs, method: request.method, billing, policy });
    return { ...loaded, decision, decidedAt: new Date(nowMs) };
  }

  /** Writes how the opening ended, once, with its evidence. Whoever comes later gets what was written first. */
  async function end(
    tx: Transaction,
    request: OpenAccessRequest,
    outcome: OpeningOutcome,
    reason?: DenialReason,
  ): Promise<OpenAccessResult> {
    const endedAt = new Date();
    const ended = await endRow(tx, deps.integration, request, { outcome, reason: reason ?? null, endedAt });
    if (!ended) return resultOf(await tx.opening.findUniqueOrThrow({ where: { id: request.openingId } }));
    await appendJournal(tx, {
      kind: 'opening',
      integration: deps.integration,
      objectId: request.openingId,
      actor: request.clientId,
      outcome,
      reason,
    });
    return { outcome, ...(reason && { reason }), at: endedAt.toISOString() };
  }

  return {
    /**
     * The facts as the database has them now, and billing once, if nothing else stands in the way: what an opening
     * needs as a rule, in one step. A denial is written down at once.
     *
     * @param askWithinMs time of the one try at billing, milliseconds; executions of before it came leave it out
     */
    async assessOpening(request: OpenAccessRequest, askWithinMs?: number): Promise<Assessment> {
      const { decision, billing } = await assess(database, request, 'not-asked');
      if (decision.kind === 'ask-billing') {
        const standing = askWithinMs === undefined ? null : await answerOrNull(billing, askWithinMs);
        return standing === null ? { kind: 'ask-billing', billing } : { kind: 'billing-known', standing };
      }
      const reason = decision.kind === 'deny' ? decision.reason : 'billing-unknown';
      const result = await database.$transaction((tx) => end(tx, request, 'denied', reason));
      return { kind: 'ended', result };
    },

    /** Asks billing about every account that the right may rest on and remembers each answer. */
    async askBilling(question: BillingQuestion): Promise<BillingStanding | 'unavailable'> {
      return standingOf(question, deps.billingTimeoutMs).catch((error: unknown) => {
        throw toApplicationFailure(error);
      });
    },

    /** What billing said last, for the time while it is out. How old it may be is the decision's matter. */
    async recallBilling({ accountIds, service }: BillingQuestion): Promise<BillingStanding | 'unavailable'> {
      const rows = await database.billingAnswer.findMany({ where: { accountId: { in: accountIds }, service } });
      return best(
        rows.map(({ standing, asOf }) => ({
          standing: standing === 'paid' ? 'paid' : 'unpaid',
          asOfMs: asOf.getTime(),
        })),
      );
    },

    /**
     * Authorizes with the facts of this moment and commands the device. Tried again, it asks the facts again: a right
     * that ended between two tries ends the opening. Throws when the device did not surely open or refuse.
     */
    async openAccessPoint(
      request: OpenAccessRequest,
      billing: BillingStanding | 'unavailable',
    ): Promise<OpenAccessResult> {
      const authorized = await database.$transaction((tx) => authorize(tx, request, billing));
      if (authorized.kind === 'ended') return authorized.result;
      const result = await command(request, authorized.device);
      return database.$transaction((tx) => end(tx, request, result));
    },

    /** The time is over or trying again is of no use: says what can be said of it. */
    async concludeOpening(request: OpenAccessRequest, why: 'time-over' | 'gave-up'): Promise<OpenAccessResult> {
      return database.$transaction(async (tx) => {
        const { attempts } = await lockRow(tx, deps.integration, request);
        const isOver = why === 'time-over' || Date.now() >= Date.parse(request.notAfter);
        return end(tx, request, attempts > 0 ? 'unknown' : isOver ? 'expired' : 'failed');
      });
    },
  };

  async function standingOf(
    { accountIds, service }: BillingQuestion,
    timeoutMs: number,
  ): Promise<BillingStanding | 'unavailable'> {
    const signal = cancellationSignal();
    const answers = await Promise.all(
      accountIds.map(async (accountId) => {
        const call = { idempotencyKey: `billing/${accountId}/${service}`, signal, timeoutMs };
        const { standing, asOf } = await deps.billing.standing({ accountId, service }, call);
        await database.$executeRaw`
          INSERT INTO billing_answers (account_id, service, standing, as_of)
          VALUES (${accountId}::uuid, ${service}, ${standing}, ${asOf}::timestamptz)
          ON CONFLICT (account_id, service) DO UPDATE SET standing = EXCLUDED.standing, as_of = EXCLUDED.as_of`;
        return { standing, asOfMs: Date.parse(asOf) };
      }),
    );
    return best(answers);
  }

  /** That billing is out is no failure of the assessment: whether to ask again is decided elsewhere. */
  async function answerOrNull(
    question: BillingQuestion,
    withinMs: number,
  ): Promise<BillingStanding | 'unavailable' | null> {
    try {
      return await standingOf(question, Math.min(withinMs, deps.billingTimeoutMs));
    } catch (error) {
      if (error instanceof PartnerError) return null;
      throw error;
    }
  }

  async function authorize(
    tx: Transaction,
    request: OpenAccessRequest,
    billing: BillingStanding | 'unavailable',
  ): Promise<
    { kind: 'ended'; result: OpenAccessResult } | { kind: 'command'; device: NonNullable<LoadedFacts['device']> }
  > {
    const row = await lockRow(tx, deps.integration, request);
    if (row.endedAt !== null) return { kind: 'ended', result: resultOf(row) };
    const { decision, device, decidedAt } = await assess(tx, request, billing);
    if (decision.kind !== 'allow' || device === null) {
      const reason = decision.kind === 'deny' ? decision.reason : 'device-unavailable';
      // An earlier try may have opened the device: then "denied" would be a false statement about the door.
      return { kind: 'ended', result: await end(tx, request, row.attempts > 0 ? 'unknown' : 'denied', reason) };
    }
    if (Date.now() >= Date.parse(request.notAfter)) {
      return { kind: 'ended', result: await end(tx, request, row.attempts > 0 ? 'unknown' : 'expired') };
    }
    await tx.$executeRaw`
      UPDATE openings SET status = 'commanding', attempts = attempts + 1, decided_at = ${decidedAt}
      WHERE id = ${request.openingId}::uuid`;
    return { kind: 'command', device };
  }

  async function command(
    request: OpenAccessRequest,
    device: NonNullable<LoadedFacts['device']>,
  ): Promise<'opened' | 'expired'> {
    try {
      const gateway = await deps.gatewayOf(request.partnerId);
      const leftMs = Date.parse(request.notAfter) - Date.now();
      if (leftMs <= 0) throw new PartnerError('DeadlinePassed', 'The not-after time has passed.');
      const receipt = await gateway.doors.open(
        { commandId: request.openingId, ...device, notAfter: request.notAfter },
        { idempotencyKey: `open/${request.openingId}`, signal: cancellationSignal(), timeoutMs: leftMs },
      );
      return receipt.result;
    } catch (error) {
      if (error instanceof PartnerError && !FAILURES[error.type].mayHaveHappened) {
        await database.opening.update({ where: { id: request.openingId }, data: { attempts: { decrement: 1 } } });
      }
      throw toApplicationFailure(error);
    }
  }
}

type LockedRow = { status: string; reason: string | null; attempts: number; endedAt: Date | null };

/**
 * The row exists before anything is said of it, and is ours until the transaction ends. The API may have written it
 * already when it gave up waiting: then writing it again changes nothing and waits for whoever holds it.
 */
async function lockRow(tx: Transaction, integration: Integration, request: OpenAccessRequest): Promise<LockedRow> {
  const [row] = await tx.$queryRaw<LockedRow[]>`
    INSERT INTO openings (${OPENING_COLUMNS}, status)
    VALUES (${openingValues(integration, request)}, 'pending')
    ON CONFLICT (id) DO UPDATE SET id = openings.id
    RETURNING status, reason, attempts, ended_at AS "endedAt"`;
  if (!row) throw new Error('A row that cannot be written cannot be locked.');
  return row;
}

/**
 * Of an opening that was allowed, `decided_at` stays the moment of the facts that allowed it: it says what was true then.
 *
 * @returns whether it ended now; false: it had ended before, and stays as it was
 */
async function endRow(
  tx: Transaction,
  integration: Integration,
  request: OpenAccessRequest,
  { outcome, reason, endedAt }: { outcome: OpeningOutcome; reason: DenialReason | null; endedAt: Date },
): Promise<boolean> {
  const count = await tx.$executeRaw`
    INSERT INTO openings (${OPENING_COLUMNS}, status, reason, decided_at, ended_at)
    VALUES (${openingValues(integration, request)}, ${outcome}, ${reason}, ${endedAt}, ${endedAt})
    ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, reason = EXCLUDED.reason,
      decided_at = CASE WHEN EXCLUDED.status = 'denied' THEN EXCLUDED.decided_at
        ELSE coalesce(openings.decided_at, EXCLUDED.decided_at) END, ended_at = EXCLUDED.ended_at
    WHERE openings.ended_at IS NULL`;
  return count === 1;
}

const OPENING_COLUMNS = sql`id, client_id, request_sha256, access_point_id, partner_id, integration, method,
  resident_id, requested_at, not_after`;

function openingValues(integration: Integration, request: OpenAccessRequest) {
  const { openingId, clientId, requestSha256, accessPointId, partnerId, method, residentId } = request;
  const times = sql`${request.requestedAt}::timestamptz, ${request.notAfter}::timestamptz`;
  return sql`${openingId}::uuid, ${clientId}, ${requestSha256}, ${accessPointId}::uuid, ${partnerId}, ${integration},
    ${method}, ${residentId}::uuid, ${times}`;
}

function resultOf(row: { status: string; reason: string | null; endedAt: Date | null }): OpenAccessResult {
  return {
    outcome: row.status as OpeningOutcome,
    ...(row.reason !== null && { reason: row.reason as DenialReason }),
    at: (row.endedAt ?? new Date()).toISOString(),
  };
}

/** One paid account is enough: the resident may come in through either flat. Of equal ones the newest counts. */
function best(answers: readonly BillingStanding[]): BillingStanding | 'unavailable' {
  const [first] = answers.toSorted(
    (a, b) => Number(b.standing === 'paid') - Number(a.standing === 'paid') || b.asOfMs - a.asOfMs,
  );
  return first ?? 'unavailable';
}
