import { z } from 'zod';
import { LogExportProposal, LogExportView, SignedLogPart } from '../../contracts/log-exports';
import { appendJournal } from '../../journal/journal';
import type { Transaction } from '../../prisma/database';
import { resourceIdFor } from '../idempotency';
import { logExportDesk, type LogExportDependencies } from '../log-exports';
import { defineOperation, type Operation } from '../operation';
import { invalidField, notFound } from '../problem';
import { approve, requestApproval, type TwoPeopleMatter } from './four-eyes';
import { memberOf, partnerWithin } from './member';
import { PartnerId } from './partners';

const DAY_MS = 86_400_000;
const OnePartner = z.object({ partnerId: PartnerId });
const OneDemand = OnePartner.extend({ demandId: z.uuid() });
const DemandList = z.object({ logExports: z.array(LogExportView) }).meta({ id: 'LogExportList' });
const PRIVATE = { 'cache-control': 'no-store' };

const matterOf = (objectId: string): TwoPeopleMatter => ({ kind: 'log-export', objectId });

/** To investigate an incident a part of a partner's logs is demanded (R3.6): one member proposes, another approves. */
export function logExportOperations(deps: LogExportDependencies): Operation[] {
  const { database, files } = deps;
  const desk = logExportDesk(deps);
  const demandOf = async (tx: Transaction, { partnerId, demandId }: z.infer<typeof OneDemand>) => {
    const row = await tx.logExportDemand.findUnique({ where: { id: demandId, partnerId } });
    if (!row) throw notFound('demandId');
    return row;
  };
  return [
    defineOperation({
      id: 'listLogExports',
      method: 'get',
      path: '/partners/{partnerId}/log-exports',
      summary: 'What was demanded of a partner’s logs, what came and who had it in hand',
      permission: 'log-exports:read',
      params: OnePartner,
      responses: { 200: { description: 'Demands, newest first', schema: DemandList } },
      async handle({ params: { partnerId }, caller }) {
        await partnerWithin(database, caller, partnerId);
        const rows = await database.logExportDemand.findMany({
          where: { partnerId },
          orderBy: [{ requestedAt: 'desc' }, { id: 'asc' }],
          take: 50,
        });
        return { status: 200, body: { logExports: await Promise.all(rows.map(desk.view)) } };
      },
    }),
    defineOperation({
      id: 'proposeLogExport',
      method: 'post',
      path: '/partners/{partnerId}/log-exports',
      summary: 'Propose to demand a part of the logs; somebody else has to approve it',
      permission: 'log-exports:demand',
      params: OnePartner,
      body: { kind: 'json', schema: LogExportProposal },
      idempotency: 'stored',
      responses: { 201: { description: 'Proposed; nothing is demanded yet', schema: LogExportView } },
      async handle({ params: { partnerId }, body, caller, idempotencyKey }) {
        const { reason, dueDays } = body;
        const [scopeFrom, scopeTo] = [new Date(body.from), new Date(body.to)];
        if (scopeTo.getTime() > Date.now()) throw invalidField('to', 'lies in the future');
        const id = resourceIdFor(caller.clientId, 'proposeLogExport', idempotencyKey);
        const row = await database.$transaction(async (tx) => {
          const { integration } = await partnerWithin(tx, caller, partnerId);
          const { count } = await tx.logExportDemand.createMany({
            data: [{ id, partnerId, reason, scopeFrom, scopeTo, dueDays }],
            skipDuplicates: true,
          });
          await requestApproval(tx, matterOf(id), memberOf(caller).memberId);
          const entry = { integration, objectId: id, actor: caller.clientId, outcome: 'proposed', reason };
          if (count > 0) await appendJournal(tx, { kind: 'log-export', ...entry });
          return tx.logExportDemand.findUniqueOrThrow({ where: { id } });
        });
        return { status: 201, body: await desk.view(row) };
      },
    }),
    defineOperation({
      id: 'approveLogExport',
      method: 'post',
      path: '/partners/{partnerId}/log-exports/{demandId}/approval',
      summary: 'Approve what somebody else proposed: it is demanded from now on',
      permission: 'log-exports:demand',
      stepUp: true,
      params: OneDemand,
      idempotency: 'stored',
      responses: { 200: { description: 'Demanded', schema: LogExportView } },
      async handle({ params, caller }) {
        const { row, integration } = await database.$transaction(async (tx) => {
          const within = await partnerWithin(tx, caller, params.partnerId);
          const demand = await demandOf(tx, params);
          const { id } = demand;
          if ((await approve(tx, matterOf(id), memberOf(caller).memberId)) === 'already') {
            return { row: demand, integration: within.integration };
          }
          const dueAt = new Date(Date.now() + demand.dueDays * DAY_MS);
          const data = { status: 'demanded', dueAt };
          const entry = { integration: within.integration, objectId: id, actor: caller.clientId, outcome: 'demanded' };
          await appendJournal(tx, { kind: 'log-export', ...entry });
          return { row: await tx.logExportDemand.update({ where: { id }, data }), integration: within.integration };
        });
        await desk.waitFor(row, integration);
        return { status: 200, body: await desk.view(row) };
      },
    }),
    defineOperation({
      id: 'getLogExportPart',
      method: 'get',
      path: '/partners/{partnerId}/log-exports/{demandId}/parts/{part}',
      summary: 'A part as it came, with its signature; who opens it is journalled',
      permission: 'log-exports:read',
      stepUp: true,
      params: OneDemand.extend({ part: z.string().regex(/^[1-9]\d{0,3}$/) }),
      responses: { 200: { description: 'The signed part', schema: SignedLogPart } },
      async handle({ params, caller }) {
        const { integration } = await partnerWithin(database, caller, params.partnerId);
        const { id: demandId } = await demandOf(database, params);
        const part = Number(params.part);
        const row = await database.logExportPart.findUnique({ where: { demandId_part: { demandId, part } } });
        if (!row) throw notFound('part');
        const entry = { integration, objectId: demandId, actor: caller.clientId };
        await appendJournal(database, { kind: 'log-export', ...entry, outcome: `opened-part-${params.part}` });
        const content = JSON.parse((await files.read(database, row.fileId)).toString('utf8')) as unknown;
        return { status: 200, headers: PRIVATE, body: content };
      },
    }),
  ];
}
