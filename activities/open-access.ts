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
import type { Database, Transaction } from '../prisma/database';
import { loadAccessFacts, type LoadedFacts } from './access-facts';

type BillingQuestion = { accountIds: string[]; service: string };
type Assessment = { kind: 'ended'; result: OpenAccessResult } | { kind: 'ask-billing'; billing: BillingQuestion };

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
  ): Promise<LoadedFacts & { decision: AccessDecision }> {
    const nowMs = Date.now();
    const loaded = await loadAccessFacts(tx, request, nowMs);
    const decision = decideAccess({ ...loaded.facts, nowMs, method: request.method, billing, policy });
    return { ...loaded, decision };
  }

  /** Writes how the opening ended, once, with its evidence. Whoever comes later gets what was written first. */
  async function end(
    tx: Transaction,
    request: OpenAccessRequest,
    outcome: OpeningOutcome,
    reason?: DenialReason,
  ): Promise<OpenAccessResult> {
    await ensureRow(tx, deps.integration, request);
    const endedAt = new Date();
    const { count } = await tx.opening.updateMany({
      where: { id: request.openingId, endedAt: null },
      data: { status: outcome, reason: reason ?? null, decidedAt: endedAt, endedAt },
    });
    if (count === 0) return resultOf(await tx.opening.findUniqueOrThrow({ where: { id: request.openingId } }));
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
    /** Everything but billing, as the database has it now. A denial is written down at once. */
    async assessOpening(request: OpenAccessRequest): Promise<Assessment> {
      return database.$transaction(async (tx): Promise<Assessment> => {
        const { decision, billing } = await assess(tx, request, 'not-asked');
        if (decision.kind === 'ask-billing') return { kind: 'ask-billing', billing };
        const reason = decision.kind === 'deny' ? decision.reason : 'billing-unknown';
        return { kind: 'ended', result: await end(tx, request, 'denied', reason) };
      });
    },

    /** Asks billing about every account that the right may rest on and remembers each answer. */
    async askBilling({ accountIds, service }: BillingQuestion): Promise<BillingStanding | 'unavailable'> {
      const signal = cancellationSignal();
      const answers = await Promise.all(
        accountIds.map(async (accountId) => {
          const call = { idempotencyKey: `billing/${accountId}/${service}`, signal, timeoutMs: deps.billingTimeoutMs };
          const { standing, asOf } = await deps.billing.standing({ accountId, service }, call);
          await database.billingAnswer.upsert({
            where: { accountId_service: { accountId, service } },
            create: { accountId, service, standing, asOf },
            update: { standing, asOf },
          });
          return { standing, asOfMs: Date.parse(asOf) };
        }),
      ).catch((error: unknown) => {
        throw toApplicationFailure(error);
      });
      return best(answers);
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
        await ensureRow(tx, deps.integration, request);
        const { attempts } = await tx.opening.findUniqueOrThrow({ where: { id: request.openingId } });
        const isOver = why === 'time-over' || Date.now() >= Date.parse(request.notAfter);
        return end(tx, request, attempts > 0 ? 'unknown' : isOver ? 'expired' : 'failed');
      });
    },
  };

  async function authorize(
    tx: Transaction,
    request: OpenAccessRequest,
    billing: BillingStanding | 'unavailable',
  ): Promise<
    { kind: 'ended'; result: OpenAccessResult } | { kind: 'command'; device: NonNullable<LoadedFacts['device']> }
  > {
    await ensureRow(tx, deps.integration, request);
    const row = await lockRow(tx, request.openingId);
    if (row.endedAt !== null) return { kind: 'ended', result: resultOf(row) };
    const { decision, device } = await assess(tx, request, billing);
    if (decision.kind !== 'allow' || device === null) {
      const reason = decision.kind === 'deny' ? decision.reason : 'device-unavailable';
      // An earlier try may have opened the device: then "denied" would be a false statement about the door.
      return { kind: 'ended', result: await end(tx, request, row.attempts > 0 ? 'unknown' : 'denied', reason) };
    }
    if (Date.now() >= Date.parse(request.notAfter)) {
      return { kind: 'ended', result: await end(tx, request, row.attempts > 0 ? 'unknown' : 'expired') };
    }
    await tx.opening.update({
      where: { id: request.openingId },
      data: { status: 'commanding', attempts: { increment: 1 }, decidedAt: new Date() },
    });
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

/** The row exists before anything is said of it. The API may have written it already when it gave up waiting. */
async function ensureRow(tx: Transaction, integration: Integration, request: OpenAccessRequest): Promise<void> {
  const { openingId, clientId, requestSha256, accessPointId, partnerId, method, residentId } = request;
  const ids = { id: openingId, clientId, requestSha256, accessPointId, partnerId, integration, method, residentId };
  const times = { requestedAt: request.requestedAt, notAfter: request.notAfter };
  await tx.opening.createMany({ data: [{ ...ids, ...times, status: 'pending' }], skipDuplicates: true });
}

async function lockRow(tx: Transaction, openingId: string) {
  await tx.$queryRaw`SELECT 1 FROM openings WHERE id = ${openingId}::uuid FOR UPDATE`;
  return tx.opening.findUniqueOrThrow({ where: { id: openingId } });
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
