import { z } from 'zod';
import { SignedDocumentView } from '../../contracts/consent-receipt';
import { ErasureDemand, ErasureView, ProlongationNotice } from '../../contracts/erasures';
import { erasureDesk, PRIVATE, type ErasureDependencies } from '../erasures';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';

const OneErasure = z.object({ erasureId: z.uuid() });

/** The right to erasure in the app (R1.4, P6; 152-FZ, articles 14 and 21). */
export function erasureOperations(deps: ErasureDependencies): Operation[] {
  const desk = erasureDesk(deps);
  return [
    defineOperation({
      id: 'requestErasure',
      method: 'post',
      path: '/residents/{residentId}/erasure',
      summary: 'Erase a resident: nothing opens to them from now on, and their data is destroyed wherever it is held',
      description:
        'It cannot be undone, so whoever asks is identified for it, a short time before. A resident is erased once: whoever asks again, with any key, gets the erasure that is there.',
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      body: { kind: 'json', schema: ErasureDemand },
      idempotency: 'own',
      responses: { 202: { description: 'Access is stopped; the erasure goes on', schema: ErasureView } },
      async handle({ params: { residentId }, body, caller, idempotencyKey }) {
        const { basis, requestedBy, powerOfAttorney, identification } = body;
        const erasureId = resourceIdFor(caller.clientId, `erasure/${residentId}`, idempotencyKey);
        const { method, at: identifiedAt, reference } = identification;
        const proof = { requestedBy, method, identifiedAt, reference, mandate: powerOfAttorney };
        const demand = { erasureId, residentId, basis, proof, actor: caller.clientId };
        return { status: 202, body: await desk.request(demand) };
      },
    }),
    defineOperation({
      id: 'getErasure',
      method: 'get',
      path: '/erasures/{erasureId}',
      summary: 'How far an erasure is',
      scope: 'app',
      params: OneErasure,
      responses: { 200: { description: 'The erasure', schema: ErasureView } },
      handle: async ({ params }) => ({ status: 200, body: await desk.view(params.erasureId) }),
    }),
    defineOperation({
      id: 'getErasureProlongationNotice',
      method: 'get',
      path: '/erasures/{erasureId}/prolongation-notice',
      summary: 'That an erasure takes longer and why, as the resident is to be told (152-FZ, article 21 part 5.1)',
      scope: 'app',
      params: OneErasure,
      responses: { 200: { description: 'The notice', schema: ProlongationNotice } },
      handle: async ({ params }) => ({ status: 200, body: await desk.notice(params.erasureId), headers: PRIVATE }),
    }),
    defineOperation({
      id: 'getErasureCertificate',
      method: 'get',
      path: '/erasures/{erasureId}/certificate',
      summary: 'The signed act of destruction, with the extract of the journal',
      description: 'Fields of order 179 of Roskomnadzor of 28 October 2022. Check it offline: `domovoy verify FILE`.',
      scope: 'app',
      params: OneErasure,
      responses: { 200: { description: 'The newest certificate', schema: SignedDocumentView } },
      handle: async ({ params }) => ({
        status: 200,
        body: await desk.certificate(params.erasureId),
        headers: PRIVATE,
      }),
    }),
    defineOperation({
      id: 'getErasureCertificatePaper',
      method: 'get',
      path: '/erasures/{erasureId}/certificate.pdf',
      summary: 'The act of destruction on paper, in Russian',
      description: 'Made from the signed certificate, which is what can be checked.',
      scope: 'app',
      params: OneErasure,
      responses: { 200: { description: 'The act', mediaType: 'application/pdf' } },
      handle: async ({ params }) => ({
        status: 200,
        body: await desk.paper(params.erasureId),
        headers: PRIVATE,
      }),
    }),
  ];
}
