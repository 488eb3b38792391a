import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Logger } from '../../config/logger';
import {
  IMPORT_LINES_MAX,
  PropertySaleImport,
  PropertySaleReport,
  PropertySaleView,
} from '../../contracts/property-sales';
import type { Database } from '../../prisma/database';
import { acceptSale, reverseSale, type SaleReport } from '../../registry/sale';
import { saleProgress } from '../../registry/sale-progress';
import { tellSale } from '../../workflows/property-sale/start';
import { resourceIdFor } from '../idempotency';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, invalidField, notFound, toProblem } from '../problem';

type Dependencies = { readonly database: Database; readonly temporal: Client; readonly log: Logger };
type Sale = { readonly id: string; readonly effectiveAt: Date };

const SCOPE = 'property-sales:report';
const YEAR_MS = 366 * 86_400_000;
/** A date outside of this is a slip of the pen. */
const LATEST_MS = YEAR_MS;
const EARLIEST_MS = 50 * YEAR_MS;
const IMPORT_MAX_BYTES = 1_000_000;
/** Sales are taken in one at a time. */
const TRANSACTION = { timeout: 30_000, maxWait: 10_000 };

/**
 * The property registry's word that a property was sold (R3.9). When it is answered, nobody comes in any more by a right
 * that rested on the property; what partners have to do about it goes on by itself and can be asked for.
 */
export function propertySaleOperations(deps: Dependencies): Operation[] {
  const { database } = deps;
  return [
    defineOperation({
      id: 'reportPropertySale',
      method: 'post',
      path: '/property-sales',
      summary: 'Report the sale of a property: the rights that rest on it end',
      description:
        'In force when it is answered, or on its date. One registryReference names one sale, however often it is ' +
        'reported. Rights that rest on another property stay, as do those of co-owners who are not named as sellers.',
      scope: SCOPE,
      params: z.object({}),
      body: { kind: 'json', schema: PropertySaleReport },
      idempotency: 'stored',
      responses: { 201: { description: 'The sale is written down', schema: PropertySaleView } },
      async handle({ body, caller }) {
        const sale = await accept(body, caller.clientId);
        await tell(sale);
        return { status: 201, body: await view(sale.id, caller.clientId) };
      },
    }),
    defineOperation({
      id: 'importPropertySales',
      method: 'post',
      path: '/property-sales/imports',
      summary: 'Report sales from a file: JSON Lines, one report in each',
      description:
        'For a registry that sends files. Each line is what `POST /property-sales` takes, is taken in or refused by ' +
        'itself, and may be sent again.',
      scope: SCOPE,
      params: z.object({}),
      body: { kind: 'lines', maxBytes: IMPORT_MAX_BYTES, maxLines: IMPORT_LINES_MAX },
      idempotency: 'own',
      responses: { 200: { description: 'What became of each line', schema: PropertySaleImport } },
      async handle({ lines, caller }) {
        const answers = [];
        for (const [index, text] of lines.entries()) {
          if (text.trim() !== '') answers.push({ line: index + 1, ...(await importLine(text, caller.clientId)) });
        }
        return { status: 200, body: { lines: answers } };
      },
    }),
    defineOperation({
      id: 'getPropertySale',
      method: 'get',
      path: '/property-sales/{saleId}',
      summary: 'A sale, and what each partner of the house has confirmed',
      scope: SCOPE,
      params: z.object({ saleId: z.uuid() }),
      responses: { 200: { description: 'The sale', schema: PropertySaleView } },
      handle: async ({ params, caller }) => ({ status: 200, body: await view(params.saleId, caller.clientId) }),
    }),
    defineOperation({
      id: 'reversePropertySale',
      method: 'post',
      path: '/property-sales/{saleId}/reversal',
      summary: 'Take a mistaken or annulled sale back: the rights that it ended are as they were',
      description:
        'Restores exactly the rights that this sale ended; one of a later date is called off. Biometrics that were ' +
        'deleted and consents that ended stay so and are asked for anew. Refused while a later sale of the property is ' +
        'in force. A repeat changes nothing.',
      scope: SCOPE,
      params: z.object({ saleId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'The sale is reversed', schema: PropertySaleView } },
      async handle({ params: { saleId }, caller }) {
        await assertOwn(saleId, caller.clientId);
        const sale = await database.$transaction((tx) => reverseSale(tx, saleId, caller.clientId), TRANSACTION);
        if (sale === 'sold-again') throw conflict('property-sold-again', 'The property was sold again since');
        await tell(sale);
        return { status: 200, body: await view(saleId, caller.clientId) };
      },
    }),
  ];

  async function importLine(text: string, clientId: string) {
    try {
      const sale = await accept(PropertySaleReport.parse(parsedLine(text)), clientId);
      await tell(sale);
      return { status: 201, saleId: sale.id, problem: null, errors: [] };
    } catch (error) {
      const { status, type, errors = [] } = toProblem(error);
      if (status >= 500) deps.log.error({ error, status }, 'a line of an import failed');
      return { status, saleId: null, problem: type, errors };
    }
  }

  async function accept(body: PropertySaleReport, clientId: string): Promise<Sale> {
    const report = reportOf(body, clientId);
    const earlier = await database.propertySale.findUnique({ where: { id: report.id } });
    if (!earlier) await check(report);
    const sale = earlier ?? (await database.$transaction((tx) => acceptSale(tx, report), TRANSACTION));
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

  async function assertOwn(saleId: string, clientId: string): Promise<void> {
    const sale = await database.propertySale.findUnique({ where: { id: saleId } });
    if (sale?.clientId !== clientId) throw notFound();
  }

  async function view(saleId: string, clientId: string): Promise<PropertySaleView> {
    await assertOwn(saleId, clientId);
    const sale = await database.propertySale.findUniqueOrThrow({
      where: { id: saleId },
      include: { rights: true, partners: true },
    });
    const progress = await saleProgress(database, saleId);
    const calls = await database.escalation.findMany({
      where: { process: 'property-sale', objectId: { startsWith: `${saleId}/` } },
    });
    return {
      saleId,
      registryReference: sale.registryReference,
      propertyId: sale.propertyId,
      state: progress.state,
      effectiveAt: sale.effectiveAt.toISOString(),
      takenAt: sale.takenAt?.toISOString() ?? null,
      reversedAt: sale.reversedAt?.toISOString() ?? null,
      rightsEnded: sale.rights.length,
      rightsRestored: sale.rights.filter(({ restoredAt }) => restoredAt !== null).length,
      done: sale.fanOut === 'done',
      partners: progress.partners.map((partner) => ({
        ...partner,
        told: sale.partners.find(({ partnerId }) => partnerId === partner.partnerId)?.told ?? 0,
        escalations: calls.filter(({ objectId }) => objectId.split('/')[1] === partner.partnerId).length,
      })),
    };
  }
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

function parsedLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidField('line', 'is not JSON');
  }
}

const conflict = (type: string, title: string): HttpProblem => new HttpProblem({ status: 409, type, title });
