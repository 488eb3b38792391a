import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import type { Logger } from '../config/logger';
import {
  KEYS_AND_FOBS,
  PropertySaleReport,
  type PropertySaleImport,
  type PropertySaleView,
} from '../contracts/property-sales';
import type { Database } from '../prisma/database';
import { acceptSale, reverseSale, type SaleReport } from '../registry/sale';
import { saleProgress } from '../registry/sale-progress';
import type { SubjectVault } from '../vault/subject-keys';
import { tellSale } from '../workflows/property-sale/start';
import { resourceIdFor } from './idempotency';
import { HttpProblem, invalidField, notFound, toProblem } from './problem';

export type SaleDependencies = {
  readonly database: Database;
  readonly temporal: Client;
  readonly subjects: SubjectVault;
  readonly log: Logger;
};

/** Whose numbers name sales, and who says so now: the registry itself, or a member of staff with a file of the registry. */
export type SaleSource = { readonly clientId: string; readonly actor: string };

type Sale = { readonly id: string; readonly effectiveAt: Date };

const YEAR_MS = 366 * 86_400_000;
/** A date outside of this is a slip of the pen. */
const LATEST_MS = YEAR_MS;
const EARLIEST_MS = 50 * YEAR_MS;
/** Sales are taken in one at a time. */
const TRANSACTION = { timeout: 30_000, maxWait: 10_000 };

/**
 * Sales as they are reported, whoever brings the registry's word. When a report is answered, nobody comes in any more by
 * a right that rested on the property; an execution that could not be told is begun by the scheduled tidying.
 */
export function saleDesk(deps: SaleDependencies) {
  const { database, subjects } = deps;
  return {
    async report(body: PropertySaleReport, source: SaleSource): Promise<PropertySaleView> {
      const sale = await accept(body, source);
      await tell(sale);
      return view(sale.id);
    },

    /**
     * Takes lines in one by one: a line that is refused changes nothing, and keeps no other from being taken in.
     *
     * @param rows of each line what it says, or what throws
     */
    async importLines(
      rows: readonly { readonly line: number; readonly read: () => unknown }[],
      source: SaleSource,
    ): Promise<PropertySaleImport> {
      const lines = [];
      for (const { line, read } of rows) lines.push({ line, ...(await importLine(read, source)) });
      return { lines };
    },

    /** @param clientId whose sales may be seen; everybody's when left out @throws HttpProblem 404 */
    async look(saleId: string, clientId?: string): Promise<PropertySaleView> {
      await assertThere(saleId, clientId);
      return view(saleId);
    },

    /** @throws HttpProblem 404 for another source's, 409 when the property was sold again since */
    async reverse(saleId: string, { clientId, actor }: SaleSource): Promise<PropertySaleView> {
      await assertThere(saleId, clientId);
      const sale = await database.$transaction((tx) => reverseSale(tx, saleId, { actor, subjects }), TRANSACTION);
      if (sale === 'sold-again') throw conflict('property-sold-again', 'The property was sold again since');
      await tell(sale);
      return view(saleId);
    },
  };

  async function importLine(read: () => unknown, source: SaleSource) {
    try {
      const sale = await accept(PropertySaleReport.parse(read()), source);
      await tell(sale);
      return { status: 201, saleId: sale.id, problem: null, errors: [] };
    } catch (error) {
      const { status, type, errors = [] } = toProblem(error);
      if (status >= 500) deps.log.error({ error, status }, 'a line of an import failed');
      return { status, saleId: null, problem: type, errors: [...errors] };
    }
  }

  async function accept(body: PropertySaleReport, { clientId, actor }: SaleSource): Promise<Sale> {
    const report = reportOf(body, clientId);
    const earlier = await database.propertySale.findUnique({ where: { id: report.id } });
    if (!earlier) await check(report);
    const by = { actor, subjects };
    const sale = earlier ?? (await database.$transaction((tx) => acceptSale(tx, report, by), TRANSACTION));
    if (sale === 'superseded') throw conflict('property-sale-superseded', 'A later sale of the property is in force');
    if (sale.requestSha256 !== report.requestSha256) {
      throw conflict('property-sale-conflict', 'The registryReference names another sale');
    }
    return sale;
  }

  /** A slip in a report must not end nobody's rights unnoticed. */
  async function check({ propertyId, sellerIds, buyerIds, effectiveAt }: SaleReport): Promise<void> {
    const ahead = effectiveAt.getTime() - Date.now();
    if (!(ahead <= LATEST_MS && -ahead <= EARLIEST_MS)) throw invalidField('effectiveAt', 'is too far from now');
    if (sellerIds.some((id) => buyerIds.includes(id))) throw invalidField('buyers', 'are not among the sellers');
    const property = await database.property.findUnique({ where: { id: propertyId }, include: { rights: true } });
    if (!property) throw invalidField('propertyId', 'is not a property', 404);
    const holders = new Set(property.rights.map(({ residentId }) => residentId));
    if (!sellerIds.every((id) => holders.has(id))) throw invalidField('sellers', 'have or had a right on it', 404);
  }

  /** What is lost here is found again: the sale stands, whatever becomes of the message. */
  async function tell({ id: saleId, effectiveAt }: Sale): Promise<void> {
    await tellSale(deps.temporal, { saleId, effectiveAt: effectiveAt.toISOString() }).catch(() => {
      deps.log.warn({ event: 'sale-not-told' }, 'a sale waits to be resumed');
    });
  }

  async function assertThere(saleId: string, clientId: string | undefined): Promise<void> {
    const sale = await database.propertySale.findUnique({ where: { id: saleId } });
    if (!sale || (clientId !== undefined && sale.clientId !== clientId)) throw notFound('saleId');
  }

  async function view(saleId: string): Promise<PropertySaleView> {
    const sale = await database.propertySale.findUniqueOrThrow({
      where: { id: saleId },
      include: { rights: true, partners: true },
    });
    const progress = await saleProgress(database, saleId);
    const calls = await database.escalation.findMany({
      where: { process: 'property-sale', objectId: { startsWith: `${saleId}/` } },
    });
    // Of a sale of a later date the rights are dated from the start, and end on the day.
    const ended = (sale.takenAt ?? sale.effectiveAt) <= (sale.reversedAt ?? new Date()) ? sale.rights : [];
    return {
      saleId,
      registryReference: sale.registryReference,
      propertyId: sale.propertyId,
      state: progress.state,
      effectiveAt: sale.effectiveAt.toISOString(),
      takenAt: sale.takenAt?.toISOString() ?? null,
      reversedAt: sale.reversedAt?.toISOString() ?? null,
      rightsEnded: ended.length,
      rightsRestored: ended.filter(({ restoredAt }) => restoredAt !== null).length,
      done: sale.fanOut === 'done',
      partners: progress.partners.map((partner) => {
        const row = sale.partners.find(({ partnerId }) => partnerId === partner.partnerId);
        const about = calls.filter(({ objectId }) => objectId.split('/')[1] === partner.partnerId);
        return {
          ...partner,
          told: row?.told ?? 0,
          lastToldAt: row?.lastToldAt?.toISOString() ?? null,
          lastAnswer: row?.lastAnswer ?? null,
          lastAnswerAt: row?.lastAnswerAt?.toISOString() ?? null,
          keysAndFobs: keysAndFobs(about),
          escalations: about.filter(({ reason }) => reason !== KEYS_AND_FOBS).length,
        };
      }),
    };
  }
}

type Call = { readonly reason: string; readonly acknowledgedAt: Date | null };

function keysAndFobs(calls: readonly Call[]): PropertySaleView['partners'][number]['keysAndFobs'] {
  const call = calls.find(({ reason }) => reason === KEYS_AND_FOBS);
  if (!call) return 'none';
  return call.acknowledgedAt === null ? 'to-recode' : 'in-hand';
}

/** Ids come in either case, and in any order. */
function reportOf(body: PropertySaleReport, clientId: string): SaleReport {
  const ids = (given: readonly string[] = []): string[] => [...new Set(given.map((id) => id.toLowerCase()))].toSorted();
  const { registryReference, effectiveAt } = body;
  const said = { propertyId: body.propertyId.toLowerCase(), sellerIds: ids(body.sellers), buyerIds: ids(body.buyers) };
  return {
    ...said,
    id: resourceIdFor(clientId, 'property-sale', registryReference),
    clientId,
    registryReference,
    requestSha256: createHash('sha256')
      .update(JSON.stringify([said, effectiveAt ?? null]))
      .digest('hex'),
    effectiveAt: effectiveAt === undefined ? new Date() : new Date(effectiveAt),
  };
}

const conflict = (type: string, title: string): HttpProblem => new HttpProblem({ status: 409, type, title });
