import { cancellationSignal } from '@temporalio/activity';
import { decideAccess } from '../access/decision';
import type { AccessDecision, AccessFacts, BillingStanding, DenialReason } from '../contracts/access';
import { FAILURES } from '../contracts/failures';
import type { Integration } from '../contracts/ids';
import type { OpenAccessRequest, OpenAccessResult, OpeningOutcome } from '../contracts/openings';
import { journalEntryOfEnded, type EndedAbout } from '../journal/journal';
import { aboutSubject } from '../journal/subjects';
import type { BillingPort } from '../partners/billing';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { PartnerGateway } from '../partners/ports';
import { query, sql, type Database } from '../prisma/database';
import { accessFacts, factsAt, readAccessFacts, type FactsText, type LoadedFacts } from '../reads/access-facts';
import { holdSubjectKeys, type HeldSubjectKeys } from '../vault/held-subject-keys';
import type { SubjectVault } from '../vault/subject-keys';

type BillingQuestion = { accountIds: string[]; service: string };
type Assessment =
  | { kind: 'ended'; result: OpenAccessResult }
  /** Billing was asked and has answered. */
  | { kind: 'billing-known'; standing: BillingStanding | 'unavailable' }
  /** Billing was not asked, or gave no answer: it is worth asking again. */
  | { kind: 'ask-billing'; billing: BillingQuestion };

/** What billing said of each account, and of all of them together. */
type Asked = { standing: BillingStanding | 'unavailable'; answers: readonly BillingAnswer[] };
type BillingAnswer = BillingStanding & { accountId: string; service: string; asOf: string };
type Assessed =
  | Exclude<Assessment, { kind: 'billing-known' }>
  /** With the facts upon which billing was asked. */
  | ({ kind: 'billing-known'; facts: FactsText } & Asked);
/** What an opening has found out in the same step. */
type FoundOut = { readonly facts: FactsText; readonly answers: readonly BillingAnswer[] };
type Ended = { kind: 'ended'; result: OpenAccessResult };
type Authorized = {
  kind: 'command';
  device: NonNullable<LoadedFacts['device']>;
  partnerRevision: number | null;
};

export type OpenAccessActivities = ReturnType<typeof createOpenAccessActivities>;

/**
 * Effects of one opening. The row in `openings` is the fence: it is written before a command leaves, and an opening
 * that has ended, here or because the API gave up waiting, is never commanded again.
 */
export function createOpenAccessActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string, revision?: number) => Promise<PartnerGateway>;
  billing: BillingPort;
  subjects: SubjectVault;
  policy: AccessFacts['policy'];
  /** Time of one try at billing, milliseconds. */
  billingTimeoutMs: number;
}) {
  const { database, policy } = deps;
  const keys = holdSubjectKeys(database, deps.subjects);

  function decide(
    { method }: OpenAccessRequest,
    facts: FactsText,
    billing: AccessFacts['billing'],
  ): LoadedFacts & { decision: AccessDecision; decidedAt: Date } {
    const nowMs = Date.now();
    const loaded = factsAt(facts, nowMs);
    const decision = decideAccess({ ...loaded.facts, nowMs, method, billing, policy });
    return { ...loaded, decision, decidedAt: new Date(nowMs) };
  }

  const end = (request: OpenAccessRequest, ending: Ending): Promise<OpenAccessResult> =>
    endOpening({ database, keys, integration: deps.integration }, request, ending);

  async function assessOpening(
    request: OpenAccessRequest,
    askWithinMs?: number,
    given = request.facts,
  ): Promise<Assessed> {
    // Its evidence will want the key: looked for meanwhile, so that nobody waits for it. Whether it failed is seen then.
    if (request.residentId !== null) keys.of(request.residentId).catch(() => undefined);
    const early = given === undefined ? null : await askedUpon(request, given, askWithinMs);
    if (early) return early;
    const facts = await readAccessFacts(database, request);
    const asked = await askedUpon(request, facts, askWithinMs);
    if (asked) return asked;
    const { decision } = decide(request, facts, 'not-asked');
    const reason = decision.kind === 'deny' ? decision.reason : 'billing-unknown';
    return { kind: 'ended', result: await end(request, { outcome: 'denied', reason }) };
  }

  /** Asks billing if these facts leave nothing else to ask. @returns `null` if something stands in the way */
  async function askedUpon(
    request: OpenAccessRequest,
    facts: FactsText,
    askWithinMs: number | undefined,
  ): Promise<Exclude<Assessed, { kind: 'ended' }> | null> {
    const { decision, billing } = decide(request, facts, 'not-asked');
    if (decision.kind !== 'ask-billing') return null;
    const asked = askWithinMs === undefined ? null : await answerOrNull(billing, askWithinMs);
    return asked === null ? { kind: 'ask-billing', billing } : { kind: 'billing-known', facts, ...asked };
  }

  async function openAccessPoint(
    request: OpenAccessRequest,
    billing: BillingStanding | 'unavailable',
  ): Promise<OpenAccessResult> {
    return commanded(request, await authorize(request, billing));
  }

  async function commanded(request: OpenAccessRequest, authorized: Authorized | Ended): Promise<OpenAccessResult> {
    if (authorized.kind === 'ended') return authorized.result;
    const outcome = await command(request, authorized);
    return end(request, { outcome, isCertain: true });
  }

  return {
    /**
     * The facts as the database has them now, and billing once, if nothing else stands in the way: what an opening
     * needs as a rule, in one step. A denial is written down at once.
     *
     * @param askWithinMs time of the one try at billing, milliseconds; executions of before it came leave it out
     */
    async assessOpening(request: OpenAccessRequest, askWithinMs?: number): Promise<Assessment> {
      const assessed = await assessOpening(request, askWithinMs);
      if (assessed.kind !== 'billing-known') return assessed;
      await remember(database, assessed.answers);
      return { kind: 'billing-known', standing: assessed.standing };
    },

    /**
     * The whole of an opening in one step: assessed, billing asked once, authorized and commanded. It is tried again
     * whole: what was done is found in the opening's row. Throws as `openAccessPoint` does.
     *
     * @returns what keeps it from ending: billing that gave no answer
     */
    async attemptOpening(
      request: OpenAccessRequest,
      askWithinMs: number,
    ): Promise<Exclude<Assessment, { kind: 'billing-known' }>> {
      let assessed = await assessOpening(request, askWithinMs);
      for (;;) {
        if (assessed.kind !== 'billing-known') return assessed;
        const authorized = await authorize(request, assessed.standing, assessed);
        if (authorized.kind !== 'facts-changed') return { kind: 'ended', result: await commanded(request, authorized) };
        assessed = await assessOpening(request, askWithinMs, authorized.facts);
      }
    },

    /** Asks billing about every account that the right may rest on and remembers each answer. */
    async askBilling(question: BillingQuestion): Promise<BillingStanding | 'unavailable'> {
      const { standing, answers } = await standingOf(question, deps.billingTimeoutMs).catch((error: unknown) => {
        throw toApplicationFailure(error);
      });
      await remember(database, answers);
      return standing;
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
    openAccessPoint: (request: OpenAccessRequest, billing: BillingStanding | 'unavailable') =>
      openAccessPoint(request, billing),

    /** The time is over or trying again is of no use: says what can be said of it. */
    async concludeOpening(request: OpenAccessRequest, why: 'time-over' | 'gave-up'): Promise<OpenAccessResult> {
      const isOver = why === 'time-over' || Date.now() >= Date.parse(request.notAfter);
      return end(request, { outcome: isOver ? 'expired' : 'failed' });
    },
  };

  async function standingOf({ accountIds, service }: BillingQuestion, timeoutMs: number): Promise<Asked> {
    const signal = cancellationSignal();
    const answers = await Promise.all(
      accountIds.map(async (accountId) => {
        const call = { idempotencyKey: `billing/${accountId}/${service}`, signal, timeoutMs };
        const { standing, asOf } = await deps.billing.standing({ accountId, service }, call);
        return { accountId, service, standing, asOf, asOfMs: Date.parse(asOf) };
      }),
    );
    return { standing: best(answers), answers };
  }

  /** That billing is out is no failure of the assessment: whether to ask again is decided elsewhere. */
  async function answerOrNull(question: BillingQuestion, withinMs: number): Promise<Asked | null> {
    try {
      return await standingOf(question, Math.min(withinMs, deps.billingTimeoutMs));
    } catch (error) {
      if (error instanceof PartnerError) return null;
      throw error;
    }
  }

  /**
   * Decides and passes the fence, in a statement that lets through only what was decided upon: facts that have changed
   * meanwhile are decided upon anew. So none is older than the fence.
   *
   * @param known what was found out for this opening just now: when the facts are others by now, billing is asked anew
   */
  async function authorize(
    request: OpenAccessRequest,
    billing: BillingStanding | 'unavailable',
  ): Promise<Ended | Authorized>;
  async function authorize(
    request: OpenAccessRequest,
    billing: BillingStanding | 'unavailable',
    known: FoundOut,
  ): Promise<Ended | Authorized | { kind: 'facts-changed'; facts: FactsText }>;
  async function authorize(
    request: OpenAccessRequest,
    billing: BillingStanding | 'unavailable',
    known?: FoundOut,
  ): Promise<Ended | Authorized | { kind: 'facts-changed'; facts: FactsText }> {
    // Looked for since it was assessed. Nothing opens while it cannot be read: its evidence could not be written.
    if (request.residentId !== null) await keys.of(request.residentId);
    const answers = known?.answers ?? [];
    const endNow = async (ending: Ending): Promise<Ended> => {
      await remember(database, answers);
      return { kind: 'ended', result: await end(request, ending) };
    };
    let facts = known?.facts ?? (await readAccessFacts(database, request));
    for (;;) {
      const { decision, device, partnerRevision, decidedAt } = decide(request, facts, billing);
      if (decision.kind !== 'allow' || device === null) {
        if (known && facts === request.facts) {
          const now = await readAccessFacts(database, request);
          if (now !== facts) return { kind: 'facts-changed', facts: now };
        }
        const reason = decision.kind === 'deny' ? decision.reason : 'device-unavailable';
        return endNow({ outcome: 'denied', reason });
      }
      if (Date.now() >= Date.parse(request.notAfter)) return endNow({ outcome: 'expired' });
      const fence = await passFence(database, deps.integration, request, { facts, decidedAt, answers });
      if (fence.isPassed) return { kind: 'command', device, partnerRevision };
      if (fence.facts === facts) return { kind: 'ended', result: await resultOf(database, request.openingId) };
      // What billing said is of the accounts that it was asked about.
      if (known) return { kind: 'facts-changed', facts: fence.facts };
      ({ facts } = fence);
    }
  }

  async function command(
    request: OpenAccessRequest,
    { device, partnerRevision }: Authorized,
  ): Promise<'opened' | 'expired'> {
    try {
      const gateway = await deps.gatewayOf(request.partnerId, partnerRevision ?? undefined);
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

/**
 * Counts a try at the command and remembers what billing said, which has to be written anyway: the try counts if the facts are still those that
 * were decided upon and unless the opening has ended: then nothing may be commanded any more. The row, which whoever ends the opening writes too, is the fence.
 *
 * @returns whether the command may leave, and the facts of the very moment
 */
async function passFence(
  database: Database,
  integration: Integration,
  request: OpenAccessRequest,
  decided: FoundOut & { readonly decidedAt: Date },
): Promise<{ isPassed: boolean; facts: FactsText }> {
  const [row] = await query<{ isPassed: boolean; facts: FactsText }>(
    database,
    sql`WITH found AS MATERIALIZED (SELECT (${accessFacts(request)}) AS facts), fence AS (
      INSERT INTO openings (${OPENING_COLUMNS}, status, attempts, decided_at)
      SELECT ${openingValues(integration, request)}, 'commanding', 1, ${decided.decidedAt}::timestamptz
        FROM found WHERE facts = ${decided.facts}
      ON CONFLICT (id) DO UPDATE
        SET status = 'commanding', attempts = openings.attempts + 1, decided_at = EXCLUDED.decided_at
        WHERE openings.ended_at IS NULL
      RETURNING id
    ), remembered AS (${rememberedAnswers(decided.answers)})
    SELECT EXISTS (SELECT FROM fence) AS "isPassed", facts FROM found`,
  );
  if (!row) throw new Error('A statement about one reading gives one row.');
  return row;
}

/**
 * What billing said, for the time while it is out. It is asked again anyway: a loss in a crash of the server costs
 * nothing, so that nobody waits for the disk.
 */
async function remember(database: Database, answers: readonly BillingAnswer[]): Promise<void> {
  if (answers.length === 0) return;
  const notFlushed = sql`FROM set_config('synchronous_commit', 'off', true),`;
  await query(database, rememberedAnswers(answers, notFlushed));
}

/**
 * In the order of their keys, so that two statements never wait for each other's rows. What is known already is written
 * again once a minute: how old an answer may be is counted in hours.
 */
const rememberedAnswers = (answers: readonly BillingAnswer[], from = sql`FROM`) => {
  const column = (name: 'accountId' | 'service' | 'standing' | 'asOf') => answers.map((answer) => answer[name]);
  return sql`INSERT INTO billing_answers (account_id, service, standing, as_of)
    SELECT said.* ${from} unnest(${column('accountId')}::uuid[], ${column('service')}::text[],
      ${column('standing')}::text[], ${column('asOf')}::timestamptz[]) AS said ORDER BY 1
    ON CONFLICT (account_id, service) DO UPDATE SET standing = EXCLUDED.standing, as_of = EXCLUDED.as_of
      WHERE (billing_answers.standing, billing_answers.as_of > EXCLUDED.as_of - interval '1 minute')
        IS DISTINCT FROM (EXCLUDED.standing, true)`;
};

type Ending = {
  readonly outcome: OpeningOutcome;
  readonly reason?: DenialReason;
  /** The device itself said so. Else a command that has left may have opened it: then the outcome is `unknown`. */
  readonly isCertain?: boolean;
};

/**
 * Writes how the opening ended, once, with its evidence. Whoever comes later gets what was written first. Of an opening
 * that was allowed, `decided_at` stays the moment of the facts that allowed it: it says what was true then.
 */
async function endOpening(
  {
    database,
    keys,
    integration,
  }: { readonly database: Database; readonly keys: HeldSubjectKeys; readonly integration: Integration },
  request: OpenAccessRequest,
  { outcome, reason, isCertain = false }: Ending,
): Promise<OpenAccessResult> {
  const endedAt = new Date();
  const about = await aboutOpening(keys, request, outcome, isCertain);
  const { openingId: objectId, clientId: actor } = request;
  const entry = { kind: 'opening', integration, objectId, actor, outcome, reason, about } as const;
  const [ended] = await query<{ outcome: OpeningOutcome; hasKey: boolean }>(
    database,
    sql`WITH owner AS (
      SELECT EXISTS (SELECT FROM subject_keys WHERE resident_id = ${request.residentId}::uuid) AS has_key
    ), ended AS (
      INSERT INTO openings (${OPENING_COLUMNS}, status, reason, decided_at, ended_at)
      VALUES (${openingValues(integration, request)}, ${outcome}, ${reason ?? null}, ${endedAt}, ${endedAt})
      ON CONFLICT (id) DO UPDATE SET
        status = CASE WHEN ${isCertain} OR openings.attempts = 0 THEN EXCLUDED.status ELSE 'unknown' END,
        reason = EXCLUDED.reason,
        decided_at = CASE WHEN EXCLUDED.status = 'denied' AND openings.attempts = 0 THEN EXCLUDED.decided_at
          ELSE coalesce(openings.decided_at, EXCLUDED.decided_at) END,
        ended_at = EXCLUDED.ended_at
      WHERE openings.ended_at IS NULL
      RETURNING status AS outcome
    ), noted AS (${journalEntryOfEnded(entry)})
    SELECT outcome, has_key AS "hasKey"${told(request, reason, endedAt)} FROM ended, owner`,
  );
  if (!ended) return resultOf(database, request.openingId);
  if (about !== null && !ended.hasKey && request.residentId !== null) keys.drop(request.residentId);
  return { outcome: ended.outcome, ...(reason && { reason }), at: endedAt.toISOString() };
}

/** Tells who waits for it, when the row is written and not before: PostgreSQL does at the commit. */
function told(
  { answerTo, openingId, requestedAt, notAfter }: OpenAccessRequest,
  reason: DenialReason | undefined,
  at: Date,
) {
  if (answerTo === undefined) return sql``;
  const end = JSON.stringify({ openingId, ...(reason && { reason }), at, requestedAt, notAfter });
  return sql`, pg_notify(${answerTo}, jsonb_set(${end}::jsonb, '{outcome}', to_jsonb(outcome))::text)`;
}

/** Whom the evidence is about. The key was looked for while the opening was under way. */
async function aboutOpening(
  keys: HeldSubjectKeys,
  { openingId: objectId, residentId, accessPointId, partnerId, method }: OpenAccessRequest,
  outcome: OpeningOutcome,
  isCertain: boolean,
): Promise<EndedAbout | null> {
  const key = residentId === null ? null : await keys.of(residentId);
  if (key === null) return null;
  const about = (as: OpeningOutcome) =>
    aboutSubject(key, { kind: 'opening', objectId, outcome: as }, { accessPointId, partnerId, method });
  return { ...about(outcome), sealedUnknown: isCertain ? null : about('unknown').sealed };
}

const OPENING_COLUMNS = sql`id, client_id, request_sha256, access_point_id, partner_id, integration, method,
  resident_id, requested_at, not_after`;

function openingValues(integration: Integration, request: OpenAccessRequest) {
  const { openingId, clientId, requestSha256, accessPointId, partnerId, method, residentId } = request;
  const times = sql`${request.requestedAt}::timestamptz, ${request.notAfter}::timestamptz`;
  return sql`${openingId}::uuid, ${clientId}, ${requestSha256}, ${accessPointId}::uuid, ${partnerId}, ${integration},
    ${method}, ${residentId}::uuid, ${times}`;
}

/** What was written of an opening that has ended. */
async function resultOf(database: Database, openingId: string): Promise<OpenAccessResult> {
  const row = await database.opening.findUniqueOrThrow({ where: { id: openingId } });
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
