import { z } from 'zod';
import type { ErasureProof } from '../../contracts/erasure';
import { ErasureDemandView, ErasureView, StaffErasureDemand } from '../../contracts/erasures';
import { acceptErasure, lockResident } from '../../erasure/acceptance';
import { journalErasure } from '../../erasure/evidence';
import type { Database, Transaction } from '../../prisma/database';
import type { Erasure } from '../../prisma/generated/client';
import { CLOCKS_DIFFER_MS, conflict, erasureDesk, type ErasureDependencies } from '../erasures';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { invalidField, notFound } from '../problem';
import { approve, requestApproval, type TwoPeopleMatter } from './four-eyes';
import { memberOf } from './member';

type DemandRow = Awaited<ReturnType<Database['erasureDemand']['findUniqueOrThrow']>>;

const PAGE = 200;
const DemandQueue = z.object({ demands: z.array(ErasureDemandView) }).meta({ id: 'ErasureDemandQueue' });
const matterOf = (objectId: string): TwoPeopleMatter => ({ kind: 'erasure', objectId });

/**
 * Demands that came in on paper, from a representative, an authority or a court: one member of staff enters them with the
 * document that they rest on, another confirms it, and nothing begins before (docs/adr/0075).
 */
export function erasureDemandOperations(deps: ErasureDependencies): Operation[] {
  const { database, subjects, clocks } = deps;
  const desk = erasureDesk(deps);
  return [
    defineOperation({
      id: 'demandErasure',
      method: 'post',
      path: '/residents/{residentId}/erasure',
      summary: 'Enter a demand to erase a resident that came in on paper; it begins when somebody else approves it',
      permission: 'erasures:demand',
      stepUp: true,
      params: z.object({ residentId: z.uuid() }),
      body: { kind: 'json', schema: StaffErasureDemand },
      idempotency: 'own',
      responses: { 202: { description: 'Entered; nothing is erased yet', schema: ErasureDemandView } },
      async handle({ params: { residentId }, body, caller, idempotencyKey }) {
        const { basis, requestedBy, identification, mandate = null } = body;
        if (Date.parse(identification.at) > Date.now() + CLOCKS_DIFFER_MS) {
          throw invalidField('identification.at', 'lies ahead');
        }
        const id = resourceIdFor(caller.clientId, `erasure/${residentId}`, idempotencyKey);
        const view = await database.$transaction(async (tx) => {
          if (!(await lockResident(tx, residentId))) throw notFound('residentId');
          const known = await tx.erasureDemand.findUnique({ where: { id } });
          if (known) return viewOf(tx, known);
          if ((await tx.erasure.count({ where: { residentId } })) > 0) {
            throw conflict('The resident is being erased, or is erased');
          }
          const { method: identityMethod, at: identifiedAt, reference: identityReference } = identification;
          const proof = { requestedBy, identityMethod, identifiedAt, identityReference, mandate };
          const row = await tx.erasureDemand.create({ data: { id, residentId, basis, ...proof } });
          await requestApproval(tx, matterOf(id), memberOf(caller).memberId);
          await journalErasure(tx, id, { actor: caller.clientId, outcome: 'proposed', reason: requestedBy });
          return viewOf(tx, row);
        });
        return { status: 202, body: view };
      },
    }),
    defineOperation({
      id: 'listErasureDemands',
      method: 'get',
      path: '/erasure-demands',
      summary: `The ${PAGE.toString()} oldest demands that wait for a second member of staff`,
      permission: 'erasures:read',
      params: z.object({}),
      responses: { 200: { description: 'Demands, oldest first', schema: DemandQueue } },
      async handle() {
        const rows = await database.erasureDemand.findMany({
          // Who is erased, or being erased, by another demand needs no second.
          where: { resident: { status: { not: 'erased' } } },
          orderBy: [{ proposedAt: 'asc' }, { id: 'asc' }],
          take: PAGE,
        });
        return { status: 200, body: { demands: await Promise.all(rows.map((row) => viewOf(database, row))) } };
      },
    }),
    defineOperation({
      id: 'approveErasure',
      method: 'post',
      path: '/erasures/{erasureId}/approval',
      summary:
        'Confirm a demand that somebody else entered, with its document at hand: access stops, and the erasure begins',
      description: 'A resident is erased once: of one who is being erased by another demand that erasure is given.',
      permission: 'erasures:demand',
      stepUp: true,
      params: z.object({ erasureId: z.uuid() }),
      idempotency: 'own',
      responses: { 202: { description: 'Access is stopped; the erasure goes on', schema: ErasureView } },
      async handle({ params: { erasureId }, caller }) {
        const begin = (tx: Transaction): Promise<Erasure | null> => approved(tx, erasureId, caller);
        return { status: 202, body: await desk.accept(begin) };
      },
    }),
  ];

  async function approved(
    tx: Transaction,
    erasureId: string,
    caller: Parameters<typeof memberOf>[0],
  ): Promise<Erasure | null> {
    const row = await tx.erasureDemand.findUnique({ where: { id: erasureId } });
    if (!row) {
      // Its demand goes with the person; the erasure that came of it is there.
      const begun = await tx.erasure.findUnique({ where: { id: erasureId } });
      if (!begun) throw notFound('erasureId');
      return begun;
    }
    const isNew = (await approve(tx, matterOf(erasureId), memberOf(caller).memberId)) === 'now';
    const { clientId: actor } = caller;
    if (isNew) await journalErasure(tx, erasureId, { actor, outcome: 'approved' });
    const { residentId, proposedAt: requestedAt } = row;
    const basis = row.basis as StaffErasureDemand['basis'];
    const demand = { erasureId, residentId, basis, actor, clocks, proof: proofOf(row), requestedAt };
    return acceptErasure(tx, subjects, demand);
  }
}

const proofOf = (row: DemandRow): ErasureProof => ({
  requestedBy: row.requestedBy as ErasureProof['requestedBy'],
  method: row.identityMethod as ErasureProof['method'],
  identifiedAt: row.identifiedAt.toISOString(),
  reference: row.identityReference,
  mandate: row.mandate ?? undefined,
});

async function viewOf(tx: Transaction, row: DemandRow): Promise<ErasureDemandView> {
  const approval = await tx.approval.findUnique({ where: { kind_objectId: matterOf(row.id) } });
  return {
    erasureId: row.id,
    residentId: row.residentId,
    basis: row.basis as ErasureDemandView['basis'],
    requestedBy: row.requestedBy as ErasureDemandView['requestedBy'],
    method: row.identityMethod as ErasureDemandView['method'],
    reference: row.identityReference,
    mandate: row.mandate,
    proposedBy: approval?.requestedBy ?? '',
    proposedAt: row.proposedAt.toISOString(),
  };
}
