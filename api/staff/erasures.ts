import { z } from 'zod';
import { ErasureHold, ErasureProlongation, ErasureView } from '../../contracts/erasures';
import { erasureDesk, erasureReads, OneErasure, type ErasureDependencies } from '../erasures';
import { defineOperation, type Operation } from '../operation';
import { invalidField } from '../problem';

const PAGE = 200;
const ErasureQueue = z
  .object({
    erasures: z.array(
      ErasureView.extend({
        overdue: z.boolean(),
        dueSoon: z.boolean(),
        followUpLate: z
          .boolean()
          .describe('It is certified; a holder that is asked once more has not answered for a day'),
      }),
    ),
  })
  .meta({ id: 'ErasureQueue' });

/** Erasures in the hands of compliance (R1.4; 152-FZ, articles 14 and 21): who is due, who waits, and for what. */
export function staffErasureOperations(deps: ErasureDependencies): Operation[] {
  const desk = erasureDesk(deps);
  const reads = erasureReads(desk);
  return [
    defineOperation({
      id: 'listErasures',
      method: 'get',
      path: '/erasures',
      summary: `The ${PAGE.toString()} erasures that are not certified and are due first, overdue ones before all`,
      permission: 'erasures:read',
      params: z.object({}),
      responses: { 200: { description: 'What is due', schema: ErasureQueue } },
      handle: async () => ({ status: 200, body: { erasures: await desk.queue(PAGE) } }),
    }),
    defineOperation({ id: 'getStaffErasure', permission: 'erasures:read', ...reads.view }),
    defineOperation({
      id: 'holdErasure',
      method: 'post',
      path: '/erasures/{erasureId}/hold',
      summary: 'Pause an erasure, for a legal hold or a dispute: nothing more is destroyed, at partners neither',
      description: 'Access stays stopped, also where partners go by their own lists of plates.',
      permission: 'erasures:decide',
      params: OneErasure,
      body: { kind: 'json', schema: ErasureHold },
      idempotency: 'own',
      responses: { 200: { description: 'It is paused', schema: ErasureView } },
      handle: async ({ params, body: { reason }, caller }) => ({
        status: 200,
        body: await desk.hold(params.erasureId, { reason, actor: caller.clientId }),
      }),
    }),
    defineOperation({
      id: 'releaseErasure',
      method: 'post',
      path: '/erasures/{erasureId}/release',
      summary: 'End the pause of an erasure; while a hold on the resident is in force that has to be released first',
      permission: 'erasures:decide',
      stepUp: true,
      params: OneErasure,
      idempotency: 'own',
      responses: { 200: { description: 'It goes on', schema: ErasureView } },
      handle: async ({ params, caller }) => ({
        status: 200,
        body: await desk.release(params.erasureId, caller.clientId),
      }),
    }),
    defineOperation({
      id: 'prolongErasureForReason',
      method: 'post',
      path: '/erasures/{erasureId}/prolongations',
      summary: 'Give an erasure five working days more, once; the resident gets a notice that says why',
      description: 'The notice is `GET /app/v1/erasures/{erasureId}/prolongation-notice`.',
      permission: 'erasures:decide',
      params: OneErasure,
      body: { kind: 'json', schema: ErasureProlongation },
      idempotency: 'own',
      responses: { 200: { description: 'It may take longer', schema: ErasureView } },
      handle: async ({ params, body: { reason }, caller }) => ({
        status: 200,
        body: await desk.prolong(params.erasureId, { reason, actor: caller.clientId }),
      }),
    }),
    defineOperation({
      id: 'prolongErasure',
      method: 'post',
      path: '/erasures/{erasureId}/prolongation',
      summary: 'Refused: the law wants a reason, which `…/prolongations` takes',
      permission: 'erasures:decide',
      params: OneErasure,
      idempotency: 'own',
      deprecation: { since: new Date('2026-12-03T00:00:00Z') },
      responses: { 200: { description: 'Not given any more', schema: ErasureView } },
      handle: () => Promise.reject(invalidField('reason', 'is required: POST …/prolongations takes it')),
    }),
    defineOperation({ id: 'getStaffErasureCertificate', permission: 'erasures:read', ...reads.certificate }),
    defineOperation({
      id: 'getStaffErasureCertificatePaper',
      permission: 'erasures:read',
      ...reads.paper,
      summary: 'The act of destruction on paper, in Russian, to be filed',
    }),
  ];
}
