import { z } from 'zod';
import {
  IMPORT_LINES_MAX,
  IMPORT_MAX_BYTES,
  PropertySaleImport,
  PropertySaleReport,
  PropertySaleView,
} from '../../contracts/property-sales';
import { defineOperation, type Operation } from '../operation';
import { invalidField } from '../problem';
import { saleDesk, type SaleDependencies, type SaleSource } from '../property-sales';

const SCOPE = 'property-sales:report';
const SIGNED =
  'Signed by RFC 9421 as profile `basic-signed` has it, with the key that the registry is registered with.';
const byRegistry = (caller: { readonly clientId: string }): SaleSource => ({
  clientId: caller.clientId,
  actor: caller.clientId,
});

/**
 * The property registry's word that a property was sold (R3.9). When it is answered, nobody comes in any more by a right
 * that rested on the property; what partners have to do about it goes on by itself and can be asked for.
 */
export function propertySaleOperations(deps: SaleDependencies): Operation[] {
  const desk = saleDesk(deps);
  return [
    defineOperation({
      id: 'reportPropertySale',
      method: 'post',
      path: '/property-sales',
      summary: 'Report the sale of a property: the rights that rest on it end',
      description:
        'In force when it is answered, or on its date. One registryReference names one sale, however often it is ' +
        'reported. Rights that rest on another property stay, as do those of co-owners who are not named as sellers. ' +
        SIGNED,
      scope: SCOPE,
      params: z.object({}),
      body: { kind: 'json', schema: PropertySaleReport },
      idempotency: 'stored',
      responses: { 201: { description: 'The sale is written down', schema: PropertySaleView } },
      handle: async ({ body, caller }) => ({ status: 201, body: await desk.report(body, byRegistry(caller)) }),
    }),
    defineOperation({
      id: 'importPropertySales',
      method: 'post',
      path: '/property-sales/imports',
      summary: 'Report sales from a file: JSON Lines, one report in each',
      description:
        'For a registry that sends files. Each line is what `POST /property-sales` takes, is taken in or refused by ' +
        `itself, and may be sent again. ${SIGNED}`,
      scope: SCOPE,
      params: z.object({}),
      body: { kind: 'lines', maxBytes: IMPORT_MAX_BYTES, maxLines: IMPORT_LINES_MAX },
      idempotency: 'own',
      responses: { 200: { description: 'What became of each line', schema: PropertySaleImport } },
      async handle({ lines, caller }) {
        const rows = lines.flatMap((text, index) =>
          text.trim() === '' ? [] : [{ line: index + 1, read: () => parsedLine(text) }],
        );
        return { status: 200, body: await desk.importLines(rows, byRegistry(caller)) };
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
      handle: async ({ params, caller }) => ({ status: 200, body: await desk.look(params.saleId, caller.clientId) }),
    }),
    defineOperation({
      id: 'reversePropertySale',
      method: 'post',
      path: '/property-sales/{saleId}/reversal',
      summary: 'Take a mistaken or annulled sale back: the rights that it ended are as they were',
      description:
        'Restores exactly the rights that this sale ended; one of a later date is called off. Biometrics that were ' +
        'deleted and consents that ended stay so and are asked for anew. Refused while a later sale of the property is ' +
        `in force. A repeat changes nothing. ${SIGNED}`,
      scope: SCOPE,
      params: z.object({ saleId: z.uuid() }),
      idempotency: 'stored',
      responses: { 200: { description: 'The sale is reversed', schema: PropertySaleView } },
      handle: async ({ params: { saleId }, caller }) => ({
        status: 200,
        body: await desk.reverse(saleId, byRegistry(caller)),
      }),
    }),
  ];
}

function parsedLine(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidField('line', 'is not JSON');
  }
}
