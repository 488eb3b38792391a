import {
  WithStartWorkflowOperation,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type Client,
} from '@temporalio/client';
import { z } from 'zod';
import {
  ConsentFormView,
  ConsentRenewal,
  ConsentRequest,
  ConsentView,
  type ConsentOffer,
} from '../../contracts/consents';
import { consentWorkflowId, type Integration } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import type { Logger } from '../../config/logger';
import type { Database } from '../../prisma/database';
import type { SubjectVault } from '../../vault/subject-keys';
import { grantConsent, renewConsent } from '../../workflows/consent/messages';
import type { consentWorkflow } from '../../workflows/consent/workflow';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, invalidField, notFound, nothingHere } from '../problem';
import { withdrawConsent } from './consent-withdrawal';

/** How long an offered consent waits for the resident's word. */
const OFFER_MS = 3_600_000;

/** Consent to biometrics, given in the app (R3.8, P1). */
export function consentOperations(deps: {
  database: Database;
  temporal: Client;
  subjects: SubjectVault;
  log: Logger;
}): Operation[] {
  const { database, temporal } = deps;
  return [
    defineOperation({
      id: 'getConsentForm',
      method: 'get',
      path: '/consent-forms/current',
      summary: 'The form that a resident is to be shown',
      scope: 'app',
      params: z.object({}),
      responses: { 200: { description: 'The form', schema: ConsentFormView } },
      async handle() {
        const form = await database.consentForm.findFirst({ where: { retiredAt: null }, orderBy: { version: 'desc' } });
        if (!form) throw nothingHere();
        return { status: 200, body: { ...form, formId: form.id } };
      },
    }),
    defineOperation({
      id: 'grantConsent',
      method: 'post',
      path: '/residents/{residentId}/consents',
      summary: 'Write down that a resident consents to biometrics with one partner',
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      body: { kind: 'json', schema: ConsentRequest },
      idempotency: 'stored',
      responses: { 201: { description: 'The consent is in force', schema: ConsentView } },
      async handle({ params: { residentId }, body, caller, idempotencyKey }) {
        const { partner, form } = await check(residentId, body);
        const offer: ConsentOffer = {
          consentId: resourceIdFor(caller.clientId, `consent/${residentId}`, idempotencyKey),
          residentId,
          partnerId: partner.id,
          formId: form.id,
          formSha256: form.sha256,
          validForDays: form.validForDays,
          offeredUntil: new Date(Date.now() + OFFER_MS).toISOString(),
        };
        await grant(offer, partner.integration as Integration);
        return { status: 201, body: await view(offer.consentId) };
      },
    }),
    defineOperation({
      id: 'getConsent',
      method: 'get',
      path: '/consents/{consentId}',
      summary: 'One consent',
      scope: 'app',
      params: z.object({ consentId: z.uuid() }),
      responses: { 200: { description: 'The consent', schema: ConsentView } },
      handle: async ({ params }) => ({ status: 200, body: await view(params.consentId) }),
    }),
    defineOperation({
      id: 'renewConsent',
      method: 'post',
      path: '/consents/{consentId}/renewal',
      summary: 'Write down that a resident agrees again to the form of a consent: its term begins anew',
      scope: 'app',
      params: z.object({ consentId: z.uuid() }),
      body: { kind: 'json', schema: ConsentRenewal },
      idempotency: 'stored',
      responses: { 200: { description: 'The consent with its later term', schema: ConsentView } },
      async handle({ params: { consentId }, body, caller, idempotencyKey }) {
        await checkRenewal(consentId, body.formSha256);
        const updateId = resourceIdFor(caller.clientId, `renew/${consentId}`, idempotencyKey);
        await renew(consentId, updateId);
        const renewed = await view(consentId);
        // A withdrawal that came in between is the resident's last word.
        if (renewed.status !== 'granted') throw stateConflict();
        return { status: 200, body: renewed };
      },
    }),
    defineOperation({
      id: 'withdrawConsent',
      method: 'post',
      path: '/consents/{consentId}/withdrawal',
      summary: 'Withdraw a consent: the face opens nothing any more at once, and is deleted wherever it is held',
      description:
        'In force when it is answered. Every consent in force of the resident to the same partner ends. `deletion` of ' +
        'the consent says when each holder has confirmed the deletion. A repeat changes nothing.',
      scope: 'app',
      params: z.object({ consentId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'The consent is withdrawn', schema: ConsentView } },
      async handle({ params: { consentId }, caller }) {
        await withdrawConsent(deps, consentId, caller.clientId);
        return { status: 200, body: await view(consentId) };
      },
    }),
  ];

  async function check(residentId: string, request: z.infer<typeof ConsentRequest>) {
    const [resident, partner, form] = await Promise.all([
      database.resident.findUnique({ where: { id: residentId } }),
      database.partner.findUnique({ where: { id: request.partnerId } }),
      database.consentForm.findUnique({ where: { id: request.formId } }),
    ]);
    if (resident?.status !== 'active') throw notFound('residentId');
    if (!partner?.active) throw invalidField('partnerId', 'is not a partner', 404);
    if (!form) throw invalidField('formId', 'is not a form', 404);
    if (form.sha256 !== request.formSha256) throw invalidField('formSha256', 'is not the hash of that form', 409);
    if (form.retiredAt !== null) throw outdatedForm();
    return { partner, form };
  }

  async function grant(offer: ConsentOffer, integration: Integration): Promise<void> {
    const startWorkflowOperation = new WithStartWorkflowOperation<typeof consentWorkflow>('consentWorkflow', {
      workflowId: consentWorkflowId(offer.consentId),
      taskQueue: integration,
      args: [offer],
      workflowIdConflictPolicy: 'USE_EXISTING',
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      staticSummary: 'consent to biometrics',
      typedSearchAttributes: [
        { key: INTEGRATION_ATTRIBUTE, value: integration },
        { key: PROCESS_ATTRIBUTE, value: 'consent' },
        { key: STATE_ATTRIBUTE, value: 'offered' },
      ],
    });
    try {
      await temporal.workflow.executeUpdateWithStart(grantConsent, {
        updateId: offer.consentId,
        startWorkflowOperation,
      });
    } catch (error) {
      // The execution is over already: what it wrote down is the answer.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    }
  }

  /** The term of a consent grows only under its own form: another one has to be asked for anew. */
  async function checkRenewal(consentId: string, formSha256: string): Promise<void> {
    const consent = await database.consent.findUnique({ where: { id: consentId }, include: { form: true } });
    if (!consent) throw notFound('consentId');
    if (consent.status !== 'granted' || consent.expiresAt.getTime() <= Date.now()) throw stateConflict();
    if (consent.formSha256 !== formSha256 || consent.form.retiredAt !== null) throw outdatedForm();
  }

  async function renew(consentId: string, updateId: string): Promise<void> {
    try {
      await temporal.workflow.getHandle(consentWorkflowId(consentId)).executeUpdate(renewConsent, { updateId });
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) throw stateConflict();
      throw error;
    }
  }

  async function view(consentId: string) {
    const consent = await database.consent.findUnique({ where: { id: consentId }, include: { deletion: true } });
    if (!consent) throw notFound('consentId');
    const { deletion } = consent;
    return {
      ...consent,
      consentId,
      grantedAt: consent.grantedAt?.toISOString() ?? null,
      expiresAt: consent.expiresAt.toISOString(),
      endedAt: consent.endedAt?.toISOString() ?? null,
      deletion: deletion && {
        state: deletion.state,
        requestedAt: deletion.requestedAt.toISOString(),
        deletedAt: deletion.deletedAt?.toISOString() ?? null,
      },
    };
  }
}

const outdatedForm = (): HttpProblem =>
  new HttpProblem({
    status: 409,
    type: 'consent-form-outdated',
    title: 'The form was replaced; show the resident the current one',
  });

const stateConflict = (): HttpProblem =>
  new HttpProblem({
    status: 409,
    type: 'consent-state-conflict',
    title: 'The consent is not in a state that allows this',
  });
