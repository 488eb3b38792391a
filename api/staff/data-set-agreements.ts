import { z } from 'zod';
import { DataSetAgreementView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import { DATA_SET_FIELDS } from '../../partners/data-set';
import type { Database, Transaction } from '../../prisma/database';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';
import { approvalConflict, approve, requestApproval, type TwoPeopleMatter } from './four-eyes';
import { memberOf, partnerWithin } from './member';
import { PartnerId } from './partners';

const Proposal = z
  .strictObject({
    fields: z
      .array(z.enum(DATA_SET_FIELDS))
      .max(DATA_SET_FIELDS.length)
      .refine((fields) => new Set(fields).size === fields.length, 'names a field twice')
      .describe('Everything that may be sent to the partner, and nothing else'),
  })
  .meta({ id: 'DataSetProposal' });
const AgreementList = z.object({ agreements: z.array(DataSetAgreementView) }).meta({ id: 'DataSetAgreementList' });

type AgreementRow = Awaited<ReturnType<Database['dataSetAgreement']['findUniqueOrThrow']>>;

const matterOf = (objectId: string): TwoPeopleMatter => ({ kind: 'data-set-agreement', objectId });

/**
 * What a partner may be sent is agreed with information security (R3.3): one member proposes, another approves, and the
 * connector holds to it from its next call (partners/data-set.ts reads the partner's row each time).
 */
export function dataSetAgreementOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listDataSetAgreements',
      method: 'get',
      path: '/partners/{partnerId}/data-set-agreements',
      summary: 'What was and is agreed with a partner, and what is proposed',
      permission: 'data-sets:read',
      params: z.object({ partnerId: PartnerId }),
      responses: { 200: { description: 'Agreements, newest first', schema: AgreementList } },
      async handle({ params: { partnerId }, caller }) {
        await partnerWithin(database, caller, partnerId);
        const rows = await database.dataSetAgreement.findMany({
          where: { partnerId },
          orderBy: [{ proposedAt: 'desc' }, { id: 'asc' }],
          take: 200,
        });
        const agreements = await Promise.all(rows.map((row) => viewOf(database, row)));
        return { status: 200, body: { agreements } };
      },
    }),
    defineOperation({
      id: 'proposeDataSetAgreement',
      method: 'post',
      path: '/partners/{partnerId}/data-set-agreements',
      summary: 'Propose what a partner may be sent; somebody else has to approve it',
      permission: 'data-sets:propose',
      params: z.object({ partnerId: PartnerId }),
      body: { kind: 'json', schema: Proposal },
      idempotency: 'stored',
      responses: { 201: { description: 'Proposed; nothing changes yet', schema: DataSetAgreementView } },
      async handle({ params: { partnerId }, body, caller, idempotencyKey }) {
        const { memberId } = memberOf(caller);
        const id = resourceIdFor(caller.clientId, 'proposeDataSetAgreement', idempotencyKey);
        const view = await database.$transaction(async (tx) => {
          const { integration } = await partnerWithin(tx, caller, partnerId);
          const { count } = await tx.dataSetAgreement.createMany({
            data: [{ id, partnerId, fields: body.fields }],
            skipDuplicates: true,
          });
          await requestApproval(tx, matterOf(id), memberId);
          const entry = { integration, objectId: id, actor: caller.clientId, outcome: 'proposed' };
          if (count > 0) await appendJournal(tx, { kind: 'data-set-agreement', ...entry });
          return viewOf(tx, await tx.dataSetAgreement.findUniqueOrThrow({ where: { id } }));
        });
        return { status: 201, body: view };
      },
    }),
    defineOperation({
      id: 'approveDataSetAgreement',
      method: 'post',
      path: '/partners/{partnerId}/data-set-agreements/{agreementId}/approval',
      summary: 'Approve what somebody else proposed; it holds from the next call to the partner',
      permission: 'data-sets:approve',
      stepUp: true,
      params: z.object({ partnerId: PartnerId, agreementId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'In force', schema: DataSetAgreementView } },
      async handle({ params: { partnerId, agreementId }, caller }) {
        const view = await database.$transaction(async (tx) => {
          const { integration } = await partnerWithin(tx, caller, partnerId);
          const by = { memberId: memberOf(caller).memberId, actor: caller.clientId };
          const row = await putInForce(tx, { partnerId, integration, agreementId, by });
          return viewOf(tx, row);
        });
        return { status: 200, body: view };
      },
    }),
  ];
}

/**
 * The approved list becomes the partner's next version. Whatever else was proposed was meant as a change of what is now
 * over, and has to be proposed anew.
 */
async function putInForce(
  tx: Transaction,
  {
    partnerId,
    integration,
    agreementId,
    by,
  }: { partnerId: string; integration: string; agreementId: string; by: { memberId: string; actor: string } },
): Promise<AgreementRow> {
  // Approvals for one partner take turns, so that versions count up and one is in force.
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`data-set/${partnerId}`}, 0))`;
  const proposed = await tx.dataSetAgreement.findUnique({ where: { id: agreementId, partnerId } });
  if (!proposed) throw notFound('agreementId');
  if ((await approve(tx, matterOf(agreementId), by.memberId)) === 'already') return proposed;
  if (proposed.status !== 'proposed') throw approvalConflict();
  const entry = { integration, objectId: agreementId, actor: by.actor, outcome: 'in-force' };
  await appendJournal(tx, { kind: 'data-set-agreement', ...entry });
  const at = new Date();
  await tx.dataSetAgreement.updateMany({
    where: { partnerId, id: { not: agreementId }, status: { in: ['proposed', 'in-force'] } },
    data: { status: 'superseded', endedAt: at },
  });
  const { _max: last } = await tx.dataSetAgreement.aggregate({ where: { partnerId }, _max: { version: true } });
  await tx.partner.updateMany({
    where: { id: partnerId },
    data: { agreedFields: proposed.fields, revision: { increment: 1 } },
  });
  return tx.dataSetAgreement.update({
    where: { id: agreementId },
    data: { status: 'in-force', version: (last.version ?? 0) + 1, inForceFrom: at },
  });
}

async function viewOf(database: Transaction, row: AgreementRow): Promise<z.infer<typeof DataSetAgreementView>> {
  const approval = await database.approval.findUnique({
    where: { kind_objectId: { kind: matterOf(row.id).kind, objectId: row.id } },
  });
  return {
    agreementId: row.id,
    partnerId: row.partnerId,
    fields: row.fields,
    status: row.status as z.infer<typeof DataSetAgreementView>['status'],
    version: row.version,
    proposedBy: approval?.requestedBy ?? null,
    approvedBy: approval?.approvedBy ?? null,
    proposedAt: row.proposedAt.toISOString(),
    inForceFrom: row.inForceFrom?.toISOString() ?? null,
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}
