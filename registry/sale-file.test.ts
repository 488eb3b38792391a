import { fc, test } from '@fast-check/jest';
import { readSaleFile } from './sale-file';

const rowsOf = (...lines: string[]) => {
  const file = readSaleFile(lines);
  if (!file.ok) throw new Error(file.why);
  return file.rows;
};

describe('a file of sales', () => {
  it('says in each line what a report says, leaving out what is empty', () => {
    expect(
      rowsOf('registryReference,propertyId,effectiveAt,sellers', 'R-1,p,2026-12-01T00:00:00Z,a  b', '', 'R-2,q,,'),
    ).toEqual([
      {
        line: 2,
        content: {
          ok: true,
          report: {
            registryReference: 'R-1',
            propertyId: 'p',
            effectiveAt: '2026-12-01T00:00:00Z',
            sellers: ['a', 'b'],
          },
        },
      },
      { line: 4, content: { ok: true, report: { registryReference: 'R-2', propertyId: 'q' } } },
    ]);
  });

  it('may be of a spreadsheet: with a byte order mark, semicolons, quotes and columns in another order', () => {
    expect(rowsOf('\uFEFF"propertyId";registryReference', '"p";"R;""1"""')).toEqual([
      { line: 2, content: { ok: true, report: { propertyId: 'p', registryReference: 'R;"1"' } } },
    ]);
  });

  it.each([
    ['an unknown column', 'registryReference,propertyId,price'],
    ['a column twice', 'registryReference,propertyId,propertyId'],
    ['no number of the sale', 'propertyId'],
    ['nothing', ''],
    ['a quote that is not closed', '"registryReference,propertyId'],
  ])('is refused as a whole when its header has %s', (_what, header) => {
    expect(readSaleFile([header, 'R-1,p']).ok).toBe(false);
  });

  it.each([
    ['too few cells', 'R-1'],
    ['too many cells', 'R-1,p,q'],
    ['a quote that is not closed', '"R-1,p'],
    ['a quote in the middle', 'R-"1",p'],
  ])('has a line refused by itself for %s', (_what, line) => {
    const rows = rowsOf('registryReference,propertyId', line, 'R-2,p');
    expect(rows.map(({ content }) => content.ok)).toEqual([false, true]);
  });

  test.prop([fc.array(fc.string(), { minLength: 1, maxLength: 6 })])(
    'gives back any cell as it was quoted',
    (texts) => {
      const quoted = texts.map((text) => `"${text.replaceAll('"', '""')}"`);
      const rows = rowsOf('registryReference,propertyId', ...quoted.map((cell) => `R,${cell}`));
      expect(rows.map(({ content }) => content.ok && (content.report as { propertyId: string }).propertyId)).toEqual(
        texts.map((text) => text.trim()),
      );
    },
  );
});
