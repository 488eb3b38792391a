import { z } from 'zod';
import { ErasureDemand, ErasureView, ProlongationNotice } from '../../contracts/erasures';
import { erasureDesk, erasureReads, OneErasure, PRIVATE, type ErasureDependencies } from '../erasures';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';

/** The right to erasure in the app (R1.4, P6; 152-FZ, articles 14 and 21). */
export function erasureOperations(deps: ErasureDependencies): Operation[] {
  const desk = erasureDesk(deps);
  const reads = erasureReads(desk);
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
    defineOperation({ id: 'getErasure', scope: 'app', ...reads.view }),
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
      description: 'Fields of order 179 of Roskomnadzor of 28 October 2022. Check it offline: `domovoy verify FILE`.',
      scope: 'app',
      ...reads.certificate,
    }),
    defineOperation({
      id: 'getErasureCertificatePaper',
      description: 'Made from the signed certificate, which is what can be checked.',
      scope: 'app',
      ...reads.paper,
    }),
  ];
}
