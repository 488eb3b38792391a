import { cancellationSignal, log } from '@temporalio/activity';
import type { DeletionObstacle, DeletionRequest } from '../contracts/deletions';
import type { Integration } from '../contracts/ids';
import { isHeld } from '../erasure/hold';
import { callOnce } from '../journal/alerts';
import type { JournalRecord } from '../journal/journal';
import { appendAbout } from '../journal/subjects';
import { PartnerError } from '../partners/failure';
import type { PartnerGateway } from '../partners/ports';
import type { Database, Transaction } from '../prisma/database';
import type { SubjectVault } from '../vault/subject-keys';

export type DeletionActivities = ReturnType<typeof createDeletionActivities>;

/** Where something may be held, and the enrollments that may still be bringing more there. */
export type HolderSurvey = {
  /** Houses at which the partner holds faces itself; none in company custody. */
  readonly houseIds: readonly string[];
  readonly inFlight: readonly { readonly enrollmentId: string; readonly houseId: string }[];
};

/** One order or question to the partner about one house. */
export type HolderQuestion = {
  readonly houseId: string;
  /** Number of the order, from 0. An order is repeated under its own number until it is answered. */
  readonly order: number;
  /** The partner took this order already: only ask how far it is. */
  readonly isOrdered: boolean;
};

/** Time of one call, milliseconds. */
const CALL_TIMEOUT_MS = 20_000;
const IN_FLIGHT = ['requested', 'processing'];
const PROCESS = 'biometric-deletion';

/** Effects of a deletion of biometrics at every holder (R3.7): our own rows, and the partner in whose custody faces are. */
export function createDeletionActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
  subjects: SubjectVault;
}) {
  const { integration, database } = deps;

  return {
    /**
     * Every house at which an enrollment ever began counts: what failed may have left something as well. So does every
     * other house of theirs, whatever the reason: a plugin sends faces to its partner without us (R0.1).
     */
    async surveyHolders(request: DeletionRequest): Promise<HolderSurvey> {
      const partner = await database.partner.findUnique({ where: { id: request.partnerId } });
      const enrollments = await database.enrollment.findMany({ where: scope(request), orderBy: { createdAt: 'asc' } });
      const served = await housesServed(request);
      const houseIds = [...new Set([...enrollments.map(({ houseId }) => houseId), ...served])];
      return {
        houseIds: partner?.custody === 'company' ? [] : houseIds,
        inFlight: enrollments
          .filter(({ state }) => IN_FLIGHT.includes(state))
          .map(({ id: enrollmentId, houseId }) => ({ enrollmentId, houseId })),
      };
    },

    /** Whether nothing of the resident may be destroyed for now. */
    isOnHold: ({ residentId }: Pick<DeletionRequest, 'residentId'>): Promise<boolean> => isHeld(database, residentId),

    /** What we hold ourselves: templates in company custody, and photos that were on their way. Not under a hold. */
    async eraseOwnBiometrics(request: DeletionRequest): Promise<void> {
      await database.$transaction(async (tx) => {
        if (!(await isHeld(tx, request.residentId))) await eraseOwn(tx, request);
      });
    },

    /** Closes an enrollment that has no execution which would: the API died between writing it down and starting it. */
    async abandonEnrollment(enrollmentId: string): Promise<void> {
      await database.$transaction(async (tx) => {
        await tx.stagedPhoto.deleteMany({ where: { enrollmentId } });
        const { count } = await tx.enrollment.updateMany({
          where: { id: enrollmentId, state: { in: IN_FLIGHT } },
          data: { state: 'cancelled' },
        });
        if (count === 0) return;
        const { residentId, partnerId } = await tx.enrollment.findUniqueOrThrow({ where: { id: enrollmentId } });
        const subject = { residentId, partnerId };
        await journal(tx, subject, { kind: 'enrollment', objectId: enrollmentId, outcome: 'cancelled' });
      });
    },

    /**
     * Orders the deletion, or asks how far it is. `deleted` only when the partner said so: in its answer to the order,
     * or asked afterwards.
     */
    async askHolder(request: DeletionRequest, question: HolderQuestion): Promise<'deleted' | DeletionObstacle> {
      const { deletionId, residentId, partnerId } = request;
      const { houseId, order, isOrdered } = question;
      const [subject, house] = await Promise.all([
        database.partnerSubject.findUnique({ where: { residentId_partnerId: { residentId, partnerId } } }),
        database.housePartner.findUnique({ where: { houseId_partnerId: { houseId, partnerId } } }),
      ]);
      // Without a tokenized id the partner has never heard of the resident.
      if (!subject) return 'deleted';
      // Also of a question that was begun before the hold: what it orders cannot be taken back.
      if (await isHeld(database, residentId)) return 'OnHold';
      if (!house) return 'NotFound';
      const face = { subjectToken: subject.token, partnerHouseId: house.partnerHouseId };
      const call = (idempotencyKey: string) => ({
        idempotencyKey,
        signal: cancellationSignal(),
        timeoutMs: CALL_TIMEOUT_MS,
      });
      try {
        const { biometrics } = await deps.gatewayOf(partnerId);
        if (biometrics.custody !== 'partner') return 'PartnerRejected';
        const { custodian } = biometrics;
        if (!isOrdered) {
          const key = `delete/${deletionId}/${houseId}/${order.toString()}`;
          const { state } = await custodian.remove(face, call(key));
          if (state === 'deleted') return 'deleted';
        }
        const { state } = await custodian.enrollmentState(face, call(`delete-state/${deletionId}/${houseId}`));
        return state === 'deleted' || state === 'unknown' ? 'deleted' : 'DeletionPending';
      } catch (error) {
        if (error instanceof PartnerError) return error.type;
        throw error;
      }
    },

    /** Calls a person, once for each level: a row, evidence, and a line in the log that alarms are made from. */
    async raiseEscalation(
      { deletionId: objectId, residentId, partnerId }: DeletionRequest,
      { level, reason, raisedAt }: { level: number; reason: DeletionObstacle; raisedAt: string },
    ): Promise<void> {
      const isNew = await database.$transaction(async (tx) => {
        const isFirst = await callOnce(tx, { integration, process: PROCESS, objectId, reason, level, raisedAt });
        const entry = { kind: 'escalation', objectId, outcome: 'raised', reason } as const;
        if (isFirst) await journal(tx, { residentId, partnerId }, entry);
        return isFirst;
      });
      if (isNew)
        log.error('a deletion of biometrics is not confirmed', { event: 'escalated', code: reason, count: level });
    },

    /**
     * Every holder has confirmed: looks once more that nothing is left with us, and writes down the end.
     *
     * @returns whether it is over; not while an enrollment is under way or a hold is in force
     */
    async concludeDeletion(request: DeletionRequest): Promise<boolean> {
      return database.$transaction(async (tx) => {
        const inFlight = await tx.enrollment.count({ where: { ...scope(request), state: { in: IN_FLIGHT } } });
        if (inFlight > 0 || (await isHeld(tx, request.residentId))) return false;
        await eraseOwn(tx, request);
        await tx.enrollment.updateMany({
          where: { ...scope(request), state: 'active' },
          data: { state: 'deleted' },
        });
        const now = new Date();
        const { count } = await tx.biometricDeletion.updateMany({
          where: { id: request.deletionId, state: 'deleting' },
          data: { state: 'deleted', deletedAt: now },
        });
        if (count === 0) return true;
        await tx.escalation.updateMany({
          where: { process: PROCESS, objectId: request.deletionId, resolvedAt: null },
          data: { resolvedAt: now },
        });
        const { deletionId: objectId, reason } = request;
        await journal(tx, request, { kind: 'biometric-deletion', objectId, outcome: 'deleted', reason });
        return true;
      });
    },
  };

  /** Where they have or had a right, within the deletion. */
  async function housesServed({ residentId, partnerId, houseIds }: DeletionRequest): Promise<string[]> {
    const houses = await database.housePartner.findMany({
      where: {
        partnerId,
        ...(houseIds !== 'all' && { houseId: { in: [...houseIds] } }),
        house: { properties: { some: { rights: { some: { residentId } } } } },
      },
      orderBy: { houseId: 'asc' },
    });
    return houses.map(({ houseId }) => houseId);
  }

  function journal(
    tx: Transaction,
    { residentId, partnerId }: Pick<DeletionRequest, 'residentId' | 'partnerId'>,
    entry: Pick<JournalRecord, 'kind' | 'objectId' | 'outcome' | 'reason'>,
  ): Promise<void> {
    const about = { residentId, details: { partnerId } };
    return appendAbout(tx, deps.subjects, about, { ...entry, integration, actor: 'deletion-process' });
  }
}

const scope = ({ residentId, partnerId, houseIds }: DeletionRequest) => ({
  residentId,
  partnerId,
  ...(houseIds !== 'all' && { houseId: { in: [...houseIds] } }),
});

async function eraseOwn(tx: Transaction, request: DeletionRequest): Promise<void> {
  await tx.stagedPhoto.deleteMany({ where: { enrollment: scope(request) } });
  await tx.faceTemplate.deleteMany({ where: scope(request) });
}
