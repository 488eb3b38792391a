import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { z } from 'zod';
import { logExportWorkflowId } from '../contracts/ids';
import {
  LOG_EXPORT_TYPE,
  LogComparison,
  LogPart,
  Withheld,
  type LogExportView,
  type SignedLogPart,
} from '../contracts/log-exports';
import { comparedKeys, compareLogs } from '../governance/log-comparison';
import { knownOrders, ordersWithin } from '../governance/own-orders';
import { appendJournal } from '../journal/journal';
import type { Database, Transaction } from '../prisma/database';
import { verifyDocument } from '../vault/document-signature';
import { sha256Of, type SealedFiles } from '../vault/sealed-files';
import { logExportReceived } from '../workflows/log-export/messages';
import { startLogExport } from '../workflows/log-export/start';
import { resourceIdFor } from './idempotency';
import { HttpProblem, invalidField, notFound } from './problem';

export type LogExportDependencies = {
  readonly database: Database;
  readonly temporal: Client;
  readonly files: SealedFiles;
};
type DemandRow = Awaited<ReturnType<Database['logExportDemand']['findUniqueOrThrow']>>;

/** Demands for a part of a partner's logs after an incident (R3.6), as staff and the partner see them. */
export function logExportDesk({ database, temporal, files }: LogExportDependencies) {
  return {
    view: (row: DemandRow): Promise<LogExportView> => viewOf(database, row),

    /** Begins to wait, or finds the execution that does. */
    async waitFor({ id: demandId, dueAt }: DemandRow, integration: string): Promise<void> {
      if (dueAt === null) return;
      await startLogExport(temporal, { demandId, dueAt: dueAt.toISOString(), integration });
    },

    /** Writes down that the partner reads of these demands, once for each: from then on it knows. */
    async tell(demands: readonly DemandRow[], { integration, actor }: { integration: string; actor: string }) {
      for (const { id } of demands.filter(({ toldAt, status }) => toldAt === null && status !== 'received')) {
        await database.$transaction(async (tx) => {
          const untold = { id, toldAt: null };
          const { count } = await tx.logExportDemand.updateMany({ where: untold, data: { toldAt: new Date() } });
          const entry = { integration, objectId: id, actor, outcome: 'told' };
          if (count > 0) await appendJournal(tx, { kind: 'log-export', ...entry });
        });
      }
    },

    /**
     * Takes in one signed part; with the last one the export is compared and the demand is met. A part that came before
     * is one, and another in its place is refused.
     *
     * @throws HttpProblem 404 for a demand that is not this partner's
     */
    async take(
      demandId: string,
      from: { partnerId: string; integration: string; actor: string },
      signed: z.infer<typeof SignedLogPart>,
    ): Promise<{ received: number; parts: number; complete: boolean }> {
      const demand = await database.logExportDemand.findUnique({ where: { id: demandId }, include: { partner: true } });
      if (demand?.partnerId !== from.partnerId || demand.status === 'proposed') throw notFound('demandId');
      const { part, keyId } = readPart(demandId, demand.partner.logExportKey, signed);
      const content = Buffer.from(JSON.stringify(signed));
      const taken = await database.$transaction(async (tx) => {
        await lockDemand(tx, demandId);
        await keep(tx, { demandId, part, keyId, content, ...from });
        const rows = await tx.logExportPart.findMany({ where: { demandId }, orderBy: { part: 'asc' } });
        const complete = rows.length === part.parts;
        if (complete) await conclude(tx, demandId, from.integration);
        return { received: rows.length, parts: part.parts, complete };
      }, LONG);
      // Also for a repeat: the process may have died between the two.
      if (taken.complete) await hint(demandId);
      return taken;
    },
  };

  async function keep(
    tx: Transaction,
    kept: { demandId: string; part: LogPart; keyId: string; content: Buffer; integration: string; actor: string },
  ): Promise<void> {
    const { demandId, content, keyId, integration, actor } = kept;
    const { part, parts } = kept.part;
    const sha256 = sha256Of(content);
    const known = await tx.logExportPart.findFirst({ where: { demandId }, orderBy: { part: 'asc' } });
    if (known && known.parts !== parts) throw partConflict();
    const same = await tx.logExportPart.findUnique({
      where: { demandId_part: { demandId, part } },
      include: { file: { select: { sha256: true } } },
    });
    if (same) {
      if (same.file.sha256 !== sha256) throw partConflict();
      return;
    }
    const fileId = resourceIdFor(demandId, 'log-export-part', part.toString());
    await files.put(tx, { id: fileId, mediaType: 'application/jose+json', content });
    await tx.logExportPart.create({ data: { demandId, part, parts, fileId, keyId } });
    const entry = { integration, objectId: demandId, actor, outcome: `received-part-${part.toString()}` };
    await appendJournal(tx, { kind: 'log-export', ...entry, reason: sha256 });
  }

  /** Reads every part as it lies there now, and writes down where it and our own records differ. */
  async function conclude(tx: Transaction, demandId: string, integration: string): Promise<void> {
    const demand = await tx.logExportDemand.findUniqueOrThrow({ where: { id: demandId }, include: { parts: true } });
    if (demand.status === 'received') return;
    const entries: LogPart['entries'] = [];
    const withheld: Withheld[] = [];
    for (const { fileId } of demand.parts) {
      const check = verifyDocument(JSON.parse((await files.read(tx, fileId)).toString('utf8')));
      const content = LogPart.parse(check.ok ? check.content : null);
      entries.push(...content.entries);
      withheld.push(...content.withheld);
    }
    const ours = await ordersWithin(tx, demand);
    const known = await knownOrders(tx, demand, comparedKeys(entries));
    const comparison = compareLogs({ ours, known }, entries, withheld);
    await tx.logExportDemand.updateMany({
      where: { id: demandId },
      data: { status: 'received', receivedAt: new Date(), withheld, comparison },
    });
    const gaps = comparison.missing.length + comparison.unknown.length;
    const entry = { integration, objectId: demandId, actor: 'log-export', outcome: 'compared' };
    await appendJournal(tx, { kind: 'log-export', ...entry, reason: `gaps-${gaps.toString()}` });
  }

  /** An execution that is over needs no hint. */
  async function hint(demandId: string): Promise<void> {
    try {
      await temporal.workflow.getHandle(logExportWorkflowId(demandId)).signal(logExportReceived);
    } catch (error) {
      if (!(error instanceof WorkflowNotFoundError)) throw error;
    }
  }
}

const LONG = { timeout: 60_000 };

async function lockDemand(tx: Transaction, demandId: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`log-export/${demandId}`}, 0))`;
}

/** @throws HttpProblem when it is not signed with the key that was agreed on, or says something else than it is to */
function readPart(
  demandId: string,
  agreedKey: string | null,
  signed: z.infer<typeof SignedLogPart>,
): { part: LogPart; keyId: string } {
  const check = verifyDocument(signed);
  if (!check.ok || check.type !== LOG_EXPORT_TYPE || check.keyId !== agreedKey) {
    throw new HttpProblem({
      status: 403,
      type: 'log-export-signature',
      title: 'The part is not signed with the key that was agreed on',
    });
  }
  const part = LogPart.safeParse(check.content);
  if (!part.success) throw invalidField('payload', 'is not a part of an export as the contract has it');
  if (part.data.demandId !== demandId) throw invalidField('payload', 'belongs to another demand');
  if (part.data.part > part.data.parts) throw invalidField('payload', 'is beyond the last part');
  return { part: part.data, keyId: check.keyId };
}

async function viewOf(database: Database, row: DemandRow): Promise<LogExportView> {
  const { id: demandId, partnerId } = row;
  const [approval, parts, custody] = await Promise.all([
    database.approval.findUnique({ where: { kind_objectId: { kind: 'log-export', objectId: demandId } } }),
    database.logExportPart.findMany({
      where: { demandId },
      orderBy: { part: 'asc' },
      include: { file: { select: { sha256: true } } },
    }),
    database.journalEntry.findMany({ where: { kind: 'log-export', objectId: demandId }, orderBy: { seq: 'asc' } }),
  ]);
  return {
    demandId,
    partnerId,
    reason: row.reason as LogExportView['reason'],
    from: row.scopeFrom.toISOString(),
    to: row.scopeTo.toISOString(),
    status: row.status as LogExportView['status'],
    requestedBy: approval?.requestedBy ?? null,
    approvedBy: approval?.approvedBy ?? null,
    dueAt: row.dueAt?.toISOString() ?? null,
    receivedAt: row.receivedAt?.toISOString() ?? null,
    parts: parts.map(({ part, file, keyId, receivedAt }) => ({
      ...{ part, keyId, sha256: file.sha256 },
      receivedAt: receivedAt.toISOString(),
    })),
    withheld: row.withheld === null ? null : z.array(Withheld).parse(row.withheld),
    comparison: row.comparison === null ? null : LogComparison.parse(row.comparison),
    custody: custody.map(({ at, actor, outcome, reason }) => ({
      ...{ at: at.toISOString(), actor: actor ?? '', action: outcome ?? '', detail: reason },
    })),
  };
}

const partConflict = (): HttpProblem =>
  new HttpProblem({ status: 409, type: 'log-export-conflict', title: 'Another part came in this place before' });
