import { z } from 'zod';
import { SignedDocumentView } from '../../contracts/consent-receipt';
import {
  JOURNAL_EXPORT_TYPE,
  JournalExportProposal,
  JournalExportView,
  OpenedJournal,
  type JOURNAL_EXPORT_REASONS,
} from '../../contracts/journal-exports';
import type { JournalRecord } from '../../journal/journal';
import { appendAbout, entriesOfSubject } from '../../journal/subjects';
import type { Database, Transaction } from '../../prisma/database';
import { signDocument, type DocumentSigner } from '../../vault/document-signature';
import type { SubjectVault } from '../../vault/subject-keys';
import type { Caller } from '../authentication/caller';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, invalidField, notFound } from '../problem';
import { approve, requestApproval, type TwoPeopleMatter } from './four-eyes';
import { memberOf } from './member';

type Dependencies = {
  readonly database: Database;
  readonly subjects: SubjectVault;
  readonly signer: DocumentSigner;
};
type ExportRow = Awaited<ReturnType<Database['journalExport']['findUniqueOrThrow']>>;

/** Whoever wants to read it later asks again. */
const READABLE_MS = 24 * 3_600_000;
const MOST_ENTRIES = 5_000;
const PRIVATE = { 'cache-control': 'no-store' };
const OneExport = z.object({ exportId: z.uuid() });

const matterOf = (objectId: string): TwoPeopleMatter => ({ kind: 'journal-export', objectId });

/**
 * What the journal says of one person, with the details opened (R2.5): one member of staff proposes, another approves,
 * and each reading is an entry, of what is shown and of what is handed on, signed. The journal as such is exported by `domovoy journal export`, its details sealed.
 */
export function journalExportOperations({ database, subjects, signer }: Dependencies): Operation[] {
  return [
    defineOperation({
      id: 'proposeJournalExport',
      method: 'post',
      path: '/journal-exports',
      summary: 'Propose to read what the journal says of one person, details opened; somebody else has to approve it',
      permission: 'journal-exports:open',
      params: z.object({}),
      body: { kind: 'json', schema: JournalExportProposal },
      idempotency: 'stored',
      responses: { 201: { description: 'Proposed; nothing is opened yet', schema: JournalExportView } },
      async handle({ body, caller, idempotencyKey }) {
        const { residentId, reason } = body;
        const id = resourceIdFor(caller.clientId, 'proposeJournalExport', idempotencyKey);
        const view = await database.$transaction(async (tx) => {
          const resident = await tx.resident.findUnique({ where: { id: residentId } });
          if (resident?.status !== 'active') throw invalidField('residentId', 'is not a resident', 404);
          const data = { id, residentId, reason, scopeFrom: body.from, scopeTo: body.to };
          const { count } = await tx.journalExport.createMany({ data: [data], skipDuplicates: true });
          await requestApproval(tx, matterOf(id), memberOf(caller).memberId);
          const row = await tx.journalExport.findUniqueOrThrow({ where: { id } });
          if (count > 0) await record(tx, row, caller.clientId, 'proposed');
          return viewOf(tx, row);
        });
        return { status: 201, body: view };
      },
    }),
    defineOperation({
      id: 'approveJournalExport',
      method: 'post',
      path: '/journal-exports/{exportId}/approval',
      summary: 'Approve what somebody else proposed: it can be read for a day',
      permission: 'journal-exports:open',
      stepUp: true,
      params: OneExport,
      idempotency: 'stored',
      responses: { 200: { description: 'Approved', schema: JournalExportView } },
      async handle({ params: { exportId: id }, caller }) {
        const view = await database.$transaction(async (tx) => {
          const row = await tx.journalExport.findUnique({ where: { id } });
          if (!row) throw notFound('exportId');
          const isNew = (await approve(tx, matterOf(id), memberOf(caller).memberId)) === 'now';
          if (isNew) await record(tx, row, caller.clientId, 'approved');
          return viewOf(tx, row);
        });
        return { status: 200, body: view };
      },
    }),
    defineOperation({
      id: 'readJournalExport',
      method: 'get',
      path: '/journal-exports/{exportId}/entries',
      summary: 'The entries with their details opened, for the two who agreed on it; who reads them is journalled',
      permission: 'journal-exports:open',
      stepUp: true,
      params: OneExport,
      responses: { 200: { description: 'The entries', schema: OpenedJournal } },
      async handle({ params: { exportId }, caller }) {
        const { opened } = await read(exportId, caller);
        return { status: 200, headers: PRIVATE, body: opened };
      },
    }),
    defineOperation({
      id: 'getSignedJournalExport',
      method: 'get',
      path: '/journal-exports/{exportId}/document',
      summary: 'The same as a signed document, for whoever it is handed to: `domovoy verify` checks it offline',
      permission: 'journal-exports:open',
      stepUp: true,
      params: OneExport,
      responses: { 200: { description: 'The entries, signed', schema: SignedDocumentView } },
      async handle({ params: { exportId }, caller }) {
        const { row, opened } = await read(exportId, caller);
        const scope = { from: row.scopeFrom.toISOString(), to: row.scopeTo.toISOString() };
        const content = { ...opened, scope, reason: row.reason, takenAt: new Date().toISOString() };
        return { status: 200, headers: PRIVATE, body: signDocument(signer, JOURNAL_EXPORT_TYPE, content) };
      },
    }),
  ];

  async function read(id: string, caller: Caller): Promise<{ row: ExportRow; opened: OpenedJournal }> {
    const { memberId } = memberOf(caller);
    const { row, found } = await database.$transaction(async (tx) => {
      const row = await readable(tx, id, memberId);
      // First, so that there is no reading without its entry.
      await record(tx, row, caller.clientId, 'read');
      const found = await entriesOfSubject(tx, subjects, row.residentId, {
        from: row.scopeFrom,
        to: row.scopeTo,
        most: MOST_ENTRIES + 1,
      });
      if (found.length > MOST_ENTRIES) throw conflict('journal-export-too-large', 'Ask for less time at once');
      return { row, found };
    });
    const entries = found.map(({ seq, at, ...entry }) => ({ ...entry, entry: seq.toString(), at: at.toISOString() }));
    return { row, opened: { exportId: id, details: 'opened', entries } };
  }

  function record(tx: Transaction, { id, residentId, reason }: ExportRow, actor: string, outcome: string) {
    const entry: JournalRecord = { kind: 'journal-export', integration: null, objectId: id, actor, outcome, reason };
    return appendAbout(tx, subjects, { residentId }, entry);
  }
}

/** @throws HttpProblem 404 for whoever has no part in it, 409 when nobody else has approved it, or its day is over */
async function readable(tx: Transaction, id: string, memberId: string): Promise<ExportRow> {
  const row = await tx.journalExport.findUnique({ where: { id } });
  const approval = await approvalOf(tx, id);
  if (!row || ![approval?.requestedBy, approval?.approvedBy].includes(memberId)) throw notFound('exportId');
  const until = readableUntil(approval);
  if (until === null) throw conflict('journal-export-not-approved', 'Somebody else has to approve it first');
  if (until.getTime() <= Date.now()) throw conflict('journal-export-over', 'The time to read it is over');
  return row;
}

const approvalOf = (tx: Transaction, objectId: string) =>
  tx.approval.findUnique({ where: { kind_objectId: { kind: 'journal-export', objectId } } });

const readableUntil = (approval: Awaited<ReturnType<typeof approvalOf>>): Date | null =>
  approval?.approvedAt ? new Date(approval.approvedAt.getTime() + READABLE_MS) : null;

async function viewOf(tx: Transaction, row: ExportRow): Promise<JournalExportView> {
  const approval = await approvalOf(tx, row.id);
  return {
    exportId: row.id,
    reason: row.reason as (typeof JOURNAL_EXPORT_REASONS)[number],
    from: row.scopeFrom.toISOString(),
    to: row.scopeTo.toISOString(),
    requestedBy: approval?.requestedBy ?? '',
    approvedBy: approval?.approvedBy ?? null,
    readableUntil: readableUntil(approval)?.toISOString() ?? null,
  };
}

const conflict = (type: string, title: string): HttpProblem => new HttpProblem({ status: 409, type, title });
