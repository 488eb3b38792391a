import { WorkflowExecutionAlreadyStartedError, type Client } from '@temporalio/client';
import { z } from 'zod';
import { mayUseBiometrics } from '../../access/attestation';
import type { EnrollmentRequest } from '../../contracts/enrollment';
import { EnrollmentView } from '../../contracts/enrollments';
import { enrollmentWorkflowId } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { appendAbout } from '../../journal/subjects';
import type { Database } from '../../prisma/database';
import { isDeletionDue } from '../../vault/biometrics';
import type { PhotoStage } from '../../vault/staged-photos';
import type { enrollmentWorkflow } from '../../workflows/enrollment/workflow';
import { resourceIdFor } from '../idempotency';
import type { SubjectVault } from '../../vault/subject-keys';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, invalidField, notFound } from '../problem';
import { partnerSubjectToken } from '../partner-subjects';
import { cleanPhoto } from './photo';

type Dependencies = {
  database: Database;
  temporal: Client;
  subjects: SubjectVault;
  photos: PhotoStage;
  photoMaxBytes: number;
  photoMaxPixels: number;
};

/** Photos that residents upload in the app to be recognised by (R3.14, P2). */
export function enrollmentOperations(deps: Dependencies): Operation[] {
  const { database } = deps;
  return [
    defineOperation({
      id: 'enrollFace',
      method: 'post',
      path: '/residents/{residentId}/face-enrollments',
      summary: 'Upload a photo and begin to enroll the face',
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      query: z.object({ consentId: z.uuid(), houseId: z.uuid() }),
      body: { kind: 'photo', maxBytes: deps.photoMaxBytes },
      idempotency: 'stored',
      responses: { 202: { description: 'The enrollment has begun', schema: EnrollmentView } },
      async handle({ params: { residentId }, query, photo, caller, idempotencyKey }) {
        const { consent, partner } = await check(residentId, query);
        const clean = await cleanPhoto(photo, { maxPixels: deps.photoMaxPixels });
        const request: EnrollmentRequest = {
          enrollmentId: resourceIdFor(caller.clientId, `enroll/${residentId}`, idempotencyKey),
          consentId: consent.id,
          partnerId: partner.id,
          custody: partner.custody === 'company' ? 'company' : 'partner',
        };
        await stage(
          request,
          { residentId, houseId: query.houseId, integration: partner.integration },
          clean,
          caller.clientId,
        );
        const enrollment = await view(request.enrollmentId);
        // A repeat finds an end that was written meanwhile: nothing begins anew.
        if (enrollment.state !== 'requested' && enrollment.state !== 'processing') {
          return { status: 202, body: enrollment };
        }
        await start(deps.temporal, request, partner.integration);
        return { status: 202, body: await view(request.enrollmentId) };
      },
    }),
    defineOperation({
      id: 'getFaceEnrollment',
      method: 'get',
      path: '/face-enrollments/{enrollmentId}',
      summary: 'Where an enrollment stands',
      scope: 'app',
      params: z.object({ enrollmentId: z.uuid() }),
      responses: { 200: { description: 'The enrollment', schema: EnrollmentView } },
      handle: async ({ params }) => ({ status: 200, body: await view(params.enrollmentId) }),
    }),
  ];

  async function check(residentId: string, query: { consentId: string; houseId: string }) {
    const resident = await database.resident.findUnique({ where: { id: residentId } });
    if (resident?.status !== 'active') throw notFound('residentId');
    const consent = await database.consent.findUnique({ where: { id: query.consentId }, include: { partner: true } });
    if (consent?.residentId !== residentId)
      throw invalidField('consentId', "is not one of the resident's consents", 404);
    if (consent.status !== 'granted' || consent.expiresAt.getTime() <= Date.now()) {
      throw new HttpProblem({ status: 403, type: 'consent-missing', title: 'The consent is not in force' });
    }
    const { partner } = consent;
    const now = new Date();
    if (!mayUseBiometrics(partner.attestedUntil?.getTime() ?? null, now.getTime())) {
      const title = 'The partner may not use biometrics at present';
      throw new HttpProblem({ status: 403, type: 'partner-not-attested', title });
    }
    const house = await database.housePartner.findUnique({
      where: { houseId_partnerId: { houseId: query.houseId, partnerId: partner.id } },
    });
    const right = await database.propertyRight.findFirst({
      where: {
        residentId,
        property: { houseId: query.houseId },
        startsAt: { lte: now },
        OR: [{ endsAt: null }, { endsAt: { gt: now } }],
      },
    });
    if (!house || !right) throw invalidField('houseId', 'is not a house of the resident that this partner serves', 404);
    if (await isDeletionDue(database, { residentId, partnerId: partner.id, houseId: query.houseId })) {
      throw new HttpProblem({
        status: 409,
        type: 'biometric-deletion-in-progress',
        title: 'Earlier biometrics of the resident are still being deleted',
      });
    }
    return { consent, partner };
  }

  /** One transaction: the enrollment, its sealed photo and the evidence. A repeat finds them there. */
  async function stage(
    { enrollmentId, consentId, partnerId }: EnrollmentRequest,
    { residentId, houseId, integration }: { residentId: string; houseId: string; integration: string },
    bytes: Buffer,
    actor: string,
  ): Promise<void> {
    await database.$transaction(async (tx) => {
      await partnerSubjectToken(tx, { residentId, partnerId, integration });
      const row = { id: enrollmentId, residentId, partnerId, integration, consentId, houseId, state: 'requested' };
      const { count } = await tx.enrollment.createMany({ data: [row], skipDuplicates: true });
      if (count === 0) {
        // Ours from an earlier try, or the index "enrollments_one_at_a_time" kept it out because of another.
        if (await tx.enrollment.findUnique({ where: { id: enrollmentId } })) return;
        throw new HttpProblem({ status: 409, type: 'enrollment-conflict', title: 'Another enrollment is in progress' });
      }
      await deps.photos.put(tx, { enrollmentId, integration, bytes });
      const entry = { integration, objectId: enrollmentId, actor, outcome: 'requested' };
      const about = { residentId, details: { partnerId, houseId, consentId } };
      await appendAbout(tx, deps.subjects, about, { kind: 'enrollment', ...entry });
    });
  }

  async function view(enrollmentId: string) {
    const enrollment = await database.enrollment.findUnique({ where: { id: enrollmentId } });
    if (!enrollment) throw notFound('enrollmentId');
    return { ...enrollment, enrollmentId };
  }
}

async function start(temporal: Client, request: EnrollmentRequest, integration: string): Promise<void> {
  try {
    await temporal.workflow.start<typeof enrollmentWorkflow>('enrollmentWorkflow', {
      workflowId: enrollmentWorkflowId(request.enrollmentId),
      taskQueue: integration,
      args: [request],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      staticSummary: `face enrollment, ${request.custody} custody`,
      typedSearchAttributes: [
        { key: INTEGRATION_ATTRIBUTE, value: integration },
        { key: PROCESS_ATTRIBUTE, value: 'enrollment' },
        { key: STATE_ATTRIBUTE, value: 'requested' },
      ],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
