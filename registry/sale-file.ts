const COLUMNS = ['registryReference', 'propertyId', 'effectiveAt', 'sellers', 'buyers'] as const;
const REQUIRED = ['registryReference', 'propertyId'] as const;
const LISTS: readonly string[] = ['sellers', 'buyers'];
const BYTE_ORDER_MARK = /^\uFEFF/;

type Content = { readonly ok: true; readonly report: object } | { readonly ok: false; readonly why: string };
/** A line of the file, counted from 1, the header included; empty ones are passed over. */
export type SaleFileRow = { readonly line: number; readonly content: Content };
export type SaleFile =
  { readonly ok: true; readonly rows: readonly SaleFileRow[] } | { readonly ok: false; readonly why: string };

/**
 * Reads the file of a registry that has no API: CSV (RFC 4180), set apart by commas, or by semicolons as spreadsheets
 * with a Russian locale write it. No cell of ours can hold a line break, so a line is a row.
 *
 * @returns reports as they stand there; whether they can be is for the schema of reports to say
 */
export function readSaleFile(lines: readonly string[]): SaleFile {
  const header = (lines[0] ?? '').replace(BYTE_ORDER_MARK, '');
  const separator = header.includes(';') ? ';' : ',';
  const columns = cellsOf(header, separator)?.map((name) => name.trim()) ?? [];
  const unknown = columns.filter((name) => !COLUMNS.some((known) => known === name));
  if (unknown.length > 0) return { ok: false, why: `names columns other than ${COLUMNS.join(', ')}` };
  if (new Set(columns).size < columns.length) return { ok: false, why: 'names a column twice' };
  if (!REQUIRED.every((name) => columns.includes(name))) return { ok: false, why: `names ${REQUIRED.join(' and ')}` };
  const rows = lines.slice(1).flatMap((text, index) => {
    if (text.trim() === '') return [];
    return [{ line: index + 2, content: contentOf(cellsOf(text, separator), columns) }];
  });
  return { ok: true, rows };
}

function contentOf(cells: readonly string[] | null, columns: readonly string[]): Content {
  if (cells === null) return { ok: false, why: 'is not CSV' };
  if (cells.length !== columns.length) return { ok: false, why: `has not ${columns.length.toString()} cells` };
  const members = columns.map((name, index): [string, unknown] => {
    const text = (cells[index] ?? '').trim();
    if (LISTS.includes(name)) return [name, text === '' ? undefined : text.split(/\s+/)];
    return [name, text === '' && name === 'effectiveAt' ? undefined : text];
  });
  return { ok: true, report: Object.fromEntries(members.filter(([, value]) => value !== undefined)) };
}

/** @returns `null` for a quote that is not closed, or stands where none may */
function cellsOf(line: string, separator: string): string[] | null {
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}]*))(${separator}|$)`, 'y');
  const cells: string[] = [];
  for (;;) {
    const [, quoted, plain = '', end] = cell.exec(line) ?? [];
    if (end === undefined) return null;
    cells.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === '') return cells;
  }
}
