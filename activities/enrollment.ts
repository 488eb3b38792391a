import { cancellationSignal } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { mayUseBiometrics } from '../access/attestation';
import { normalizeVector } from '../access/face-matching';
import type { EnrollmentRequest, EnrollmentResult, PhotoRefusal } from '../contracts/enrollment';
import { FAILURES, type FailureType } from '../contracts/failures';
import type { Integration } from '../contracts/ids';
import { templatePlace } from '../contracts/sealed-places';
import { appendAbout } from '../journal/subjects';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import type { Biometrics, FaceSubject, PartnerGateway } from '../partners/ports';
import type { Database, Transaction } from '../prisma/database';
import { isDeletionDue, lockBiometrics } from '../vault/biometrics';
import { vectorToBytes } from '../vault/face-vector-bytes';
import type { PhotoStage } from '../vault/staged-photos';
import type { SubjectVault } from '../vault/subject-keys';

export type EnrollmentActivities = ReturnType<typeof createEnrollmentActivities>;

/** Time of one question or order to a partner about a face, milliseconds. */
const FACE_CALL_TIMEOUT_MS = 20_000;

export function createEnrollmentActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
  photos: PhotoStage;
  subjects: SubjectVault;
}) {
  const { integration, database } = deps;

  return {
    /** Consent holds now, or the enrollment stops here. */
    async assertConsent({ enrollmentId }: EnrollmentRequest): Promise<void> {
      await database.$transaction((tx) => assertConsent(tx, enrollmentId));
    },

    /** Company custody: has the partner compute a vector and keeps only that, sealed and not yet in use (R1.2). */
    async extractTemplate({ enrollmentId, partnerId }: EnrollmentRequest): Promise<PhotoRefusal | null> {
      const enrollment = await database.enrollment.findUniqueOrThrow({
        where: { id: enrollmentId },
        include: { templates: true },
      });
      if (enrollment.templates.length > 0) return null;
      const { extractor } = custody(await biometricsOf(partnerId), 'company');
      const photo = await stagedPhoto(enrollmentId);
      const extraction = await extractor.extract(photo, callFor(`extract/${enrollmentId}`)).catch(rethrow);
      if (!extraction.ok) return extraction.refusal;
      const vector = normalizeVector(extraction.vector);
      if (vector === null) throw failure('PartnerMisanswered', 'The partner computed a vector that cannot be used.');
      const { residentId, houseId } = enrollment;
      await database.$transaction(async (tx) => {
        const sealed = await deps.subjects.seal(tx, residentId, vectorToBytes(vector), templatePlace(enrollmentId));
        const { modelVersion } = extraction;
        const row = {
          id: enrollmentId,
          residentId,
          partnerId,
          integration,
          enrollmentId,
          houseId,
          sealed,
          modelVersion,
        };
        await tx.faceTemplate.createMany({ data: [row], skipDuplicates: true });
      });
      return null;
    },

    /** Partner custody: the photo, the tokenized id and the partner's house id leave, nothing else (R3.14). */
    async sendPhoto({ enrollmentId, partnerId }: EnrollmentRequest): Promise<{ refusal: PhotoRefusal | null }> {
      const { custodian } = custody(await biometricsOf(partnerId), 'partner');
      const face = await faceSubject(enrollmentId);
      const photo = await stagedPhoto(enrollmentId);
      const receipt = await custodian.enroll({ ...face, photo }, callFor(`enroll/${enrollmentId}`)).catch(rethrow);
      if (receipt.state === 'rejected') return { refusal: receipt.refusal };
      await database.enrollment.update({ where: { id: enrollmentId }, data: { state: 'processing' } });
      return { refusal: null };
    },

    async askEnrollmentState({
      enrollmentId,
      partnerId,
    }: EnrollmentRequest): Promise<{ state: 'active' | 'waiting' } | { state: 'rejected'; refusal: PhotoRefusal }> {
      const { custodian } = custody(await biometricsOf(partnerId), 'partner');
      const face = await faceSubject(enrollmentId);
      const answer = await custodian.enrollmentState(face, callFor(`enroll-state/${enrollmentId}`)).catch(rethrow);
      if (answer.state === 'rejected') return answer;
      return { state: answer.state === 'active' ? 'active' : 'waiting' };
    },

    /** Puts the template into use if the consent still holds in that same transaction. */
    async activateEnrollment({ enrollmentId }: EnrollmentRequest): Promise<void> {
      await database.$transaction(async (tx) => {
        // A withdrawal waits for this commit, or this sees it.
        await lockBiometrics(tx, await tx.enrollment.findUniqueOrThrow({ where: { id: enrollmentId } }));
        await assertConsent(tx, enrollmentId);
        await tx.faceTemplate.updateMany({ where: { enrollmentId }, data: { active: true } });
      });
    },

    /** Takes back whatever an enrollment may have left, here or at the partner; also right when it left nothing. */
    async undoEnrollment({ enrollmentId, partnerId, custody: where }: EnrollmentRequest): Promise<void> {
      await database.faceTemplate.deleteMany({ where: { enrollmentId } });
      if (where === 'company') return;
      if (await isRemoved(enrollmentId, partnerId).catch(keepTrying)) return;
      throw failure('PartnerUnavailable', 'The partner has not confirmed the deletion yet.');
    },

    /** Purges the staged photo on every way out and writes down how it ended. */
    async concludeEnrollment({ enrollmentId }: EnrollmentRequest, { state, refusal }: EnrollmentResult): Promise<void> {
      await database.$transaction(async (tx) => {
        await tx.stagedPhoto.deleteMany({ where: { enrollmentId } });
        const { count } = await tx.enrollment.updateMany({
          where: { id: enrollmentId, state: { in: ['requested', 'processing'] } },
          data: { state, refusal: refusal ?? null },
        });
        if (count === 0) return;
        const { residentId, partnerId, houseId } = await tx.enrollment.findUniqueOrThrow({
          where: { id: enrollmentId },
        });
        const entry = { kind: 'enrollment', objectId: enrollmentId, outcome: state } as const;
        const record = { ...entry, integration, actor: 'enrollment-process', reason: refusal };
        await appendAbout(tx, deps.subjects, { residentId, details: { partnerId, houseId } }, record);
      });
    },
  };

  /** The order is single by its key, so a partner that took it as pending repeats that: then its state is asked. */
  async function isRemoved(enrollmentId: string, partnerId: string): Promise<boolean> {
    const { custodian } = custody(await biometricsOf(partnerId), 'partner');
    const face = await faceSubject(enrollmentId);
    const receipt = await custodian.remove(face, callFor(`enroll-undo/${enrollmentId}`));
    if (receipt.state === 'deleted') return true;
    const { state } = await custodian.enrollmentState(face, callFor(`enroll-undo-state/${enrollmentId}`));
    return state === 'deleted' || state === 'unknown';
  }

  async function biometricsOf(partnerId: string): Promise<Biometrics> {
    return (await deps.gatewayOf(partnerId)).biometrics;
  }

  async function stagedPhoto(enrollmentId: string): Promise<Buffer> {
    const photo = await deps.photos.take(database, enrollmentId);
    if (photo === null) throw failure('NotFound', 'The staged photo is gone.');
    return photo;
  }

  async function faceSubject(enrollmentId: string): Promise<FaceSubject> {
    const { residentId, partnerId, houseId } = await database.enrollment.findUniqueOrThrow({
      where: { id: enrollmentId },
    });
    const [subject, house] = await Promise.all([
      database.partnerSubject.findUniqueOrThrow({ where: { residentId_partnerId: { residentId, partnerId } } }),
      database.housePartner.findUniqueOrThrow({ where: { houseId_partnerId: { houseId, partnerId } } }),
    ]);
    return { subjectToken: subject.token, partnerHouseId: house.partnerHouseId };
  }
}

/**
 * In force, nothing that was to be deleted is left where the new face would come, and the resident still has a right
 * there: without one the consent has no purpose (R3.9). And the partner may use biometrics at all (R3.5).
 */
async function assertConsent(tx: Transaction, enrollmentId: string): Promise<void> {
  const { consent, partner, ...enrollment } = await tx.enrollment.findUniqueOrThrow({
    where: { id: enrollmentId },
    include: { consent: true, partner: { select: { attestedUntil: true } } },
  });
  const isInForce = consent.status === 'granted' && consent.expiresAt.getTime() > Date.now();
  const { residentId, houseId } = enrollment;
  const right = await tx.propertyRight.findFirst({
    where: { residentId, property: { houseId }, OR: [{ endsAt: null }, { endsAt: { gt: new Date() } }] },
    select: { id: true },
  });
  if (!isInForce || !right || (await isDeletionDue(tx, enrollment))) {
    throw failure('ConsentMissing', 'There is no consent in force.');
  }
  if (!mayUseBiometrics(partner.attestedUntil?.getTime() ?? null, Date.now())) {
    throw failure('PartnerNotAttested', 'The partner may not use biometrics.');
  }
}

/** Narrows to the custody that a step is for. Configuration that says otherwise is refused, not worked around. */
function custody<C extends Biometrics['custody']>(
  biometrics: Biometrics,
  wanted: C,
): Extract<Biometrics, { custody: C }> {
  if (biometrics.custody !== wanted) throw failure('PartnerRejected', `The partner is not of ${wanted} custody.`);
  return biometrics as Extract<Biometrics, { custody: C }>;
}

const callFor = (idempotencyKey: string) => ({
  idempotencyKey,
  signal: cancellationSignal(),
  timeoutMs: FACE_CALL_TIMEOUT_MS,
});

const rethrow = (error: unknown): never => {
  throw toApplicationFailure(error);
};

/** An undo is never given up, whatever the partner answers: a refusal today may be mended by a person tomorrow. */
const keepTrying = (error: unknown): never => {
  if (!(error instanceof PartnerError)) throw error;
  throw ApplicationFailure.create({ type: error.type, message: error.message, nonRetryable: false });
};

const failure = (type: FailureType, message: string): ApplicationFailure =>
  ApplicationFailure.create({ type, message, nonRetryable: !FAILURES[type].retryable });
