import { z } from 'zod';
import {
  IMPORT_LINES_MAX,
  IMPORT_MAX_BYTES,
  PropertySaleImport,
  PropertySaleView,
} from '../../contracts/property-sales';
import { readSaleFile } from '../../registry/sale-file';
import { defineOperation, type Operation } from '../operation';
import { invalidField } from '../problem';
import { saleDesk, type SaleDependencies, type SaleSource } from '../property-sales';

/** One for all files, so that two members who bring the same file report the same sales. */
const FILE_CLIENT = 'registry-file';
const byStaff = (caller: { readonly clientId: string }): SaleSource => ({
  clientId: FILE_CLIENT,
  actor: caller.clientId,
});

const OneSale = z.object({ saleId: z.uuid() });

/** Sales of a registry that has no API: its file, brought by a member of staff (R3.9). */
export function staffPropertySaleOperations(deps: SaleDependencies): Operation[] {
  const desk = saleDesk(deps);
  return [
    defineOperation({
      id: 'importPropertySaleFile',
      method: 'post',
      path: '/property-sales/imports',
      summary: 'Report sales from a CSV file of a registry that has no API',
      description:
        'First line: names of columns, of `registryReference`, `propertyId`, `effectiveAt`, `sellers`, `buyers`; several ' +
        'residents in a cell are set apart by spaces. Each line is taken in or refused by itself; a line that is refused ' +
        'changes nothing. The same file may come again.',
      permission: 'property-sales:import',
      stepUp: true,
      params: z.object({}),
      body: { kind: 'lines', maxBytes: IMPORT_MAX_BYTES, maxLines: IMPORT_LINES_MAX + 1, mediaTypes: ['text/csv'] },
      idempotency: 'own',
      responses: { 200: { description: 'What became of each line', schema: PropertySaleImport } },
      async handle({ lines, caller }) {
        const file = readSaleFile(lines);
        if (!file.ok) throw invalidField('header', file.why);
        const rows = file.rows.map(({ line, content }) => ({
          line,
          read: () => (content.ok ? content.report : notCsv(content.why)),
        }));
        return { status: 200, body: await desk.importLines(rows, byStaff(caller)) };
      },
    }),
    defineOperation({
      id: 'getStaffPropertySale',
      method: 'get',
      path: '/property-sales/{saleId}',
      summary: 'A sale, whoever reported it, and what each partner of the house has confirmed',
      permission: 'property-sales:read',
      params: OneSale,
      responses: { 200: { description: 'The sale', schema: PropertySaleView } },
      handle: async ({ params }) => ({ status: 200, body: await desk.look(params.saleId) }),
    }),
    defineOperation({
      id: 'reverseStaffPropertySale',
      method: 'post',
      path: '/property-sales/{saleId}/reversal',
      summary: 'Take back a sale that came from a file: the rights that it ended are as they were',
      description: 'What the registry reported itself only the registry takes back.',
      permission: 'property-sales:import',
      stepUp: true,
      params: OneSale,
      idempotency: 'stored',
      responses: { 200: { description: 'The sale is reversed', schema: PropertySaleView } },
      handle: async ({ params: { saleId }, caller }) => ({
        status: 200,
        body: await desk.reverse(saleId, byStaff(caller)),
      }),
    }),
  ];
}

function notCsv(why: string): never {
  throw invalidField('line', why);
}
