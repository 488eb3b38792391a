import { existsSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { projectFile } from '../config/project-root';
import { documentOf } from './composition';

const PAGE = 'docs/security-checks.md';

type Row = readonly string[];
const lines = readFileSync(projectFile(PAGE), 'utf8').split('\n');
/** Rows of the tables whose first heading is this one, without headings and rulers. */
function rowsUnder(heading: string): Row[] {
  const cellsOf = (line: string): Row =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const start = lines.findIndex((line) => line.startsWith('|') && cellsOf(line)[0] === heading);
  const table = lines.slice(start);
  const end = table.findIndex((line) => !line.startsWith('|'));
  return table.slice(2, end).map(cellsOf);
}
const checks = rowsUnder('endpoint');
const tests = rowsUnder('code');

/** `POST /app/v1/…` of every operation that the API has. */
function operations(): string[] {
  const { paths } = documentOf('https://api.example') as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
}

/** Titles of the tests in a file; a table that is run as `%s` gives the names of its rows as well. */
function titlesIn(file: string): Set<string> {
  const source = ts.createSourceFile(file, readFileSync(projectFile(file), 'utf8'), ts.ScriptTarget.Latest, true);
  const constants = new Map<string, ts.Expression>();
  const titles = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.initializer) constants.set(node.name.getText(), node.initializer);
    const [title] = ts.isCallExpression(node) ? node.arguments : [];
    if (ts.isCallExpression(node) && title && ts.isStringLiteralLike(title)) {
      const { expression } = node;
      if (isTest(expression)) titles.add(title.text);
      if (ts.isCallExpression(expression) && isEach(expression.expression)) {
        for (const name of rowNames(expression.arguments[0], constants)) titles.add(title.text.replace('%s', name));
        titles.add(title.text);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return titles;
}

const isTest = (node: ts.Expression): boolean => ts.isIdentifier(node) && ['it', 'test'].includes(node.text);
const isEach = (node: ts.Expression): boolean =>
  ts.isPropertyAccessExpression(node) && node.name.text === 'each' && isTest(node.expression);

function rowNames(rows: ts.Expression | undefined, constants: ReadonlyMap<string, ts.Expression>): string[] {
  if (rows && ts.isIdentifier(rows)) return rowNames(constants.get(rows.text), constants);
  if (rows && ts.isAsExpression(rows)) return rowNames(rows.expression, constants);
  if (!rows || !ts.isArrayLiteralExpression(rows)) return [];
  return rows.elements.flatMap((row) => {
    const name = ts.isArrayLiteralExpression(row) ? row.elements[0] : row;
    return name && ts.isStringLiteralLike(name) ? [name.text] : [];
  });
}

describe('the table of security checks', () => {
  const endpoints = checks.map(([name = '']) => name.replaceAll('`', ''));

  it('has a row for every operation of the API, and none for one that is gone', () => {
    const rows = endpoints.filter((name) => /^[A-Z]+ \/(app|partner|registry|staff)\//.test(name));
    expect(rows.toSorted()).toEqual(operations().toSorted());
  });

  it.each([
    ...['/oauth/token', '/oauth/introspect', '/oauth/revoke', '/oauth/jwks'],
    ...['/.well-known/oauth-authorization-server/oauth', '/.well-known/domovoy-document-keys'],
    '/.well-known/domovoy-message-keys',
    ...['/docs', '/openapi.json', '/problems/{type}', '/health/live', '/health/ready', '/metrics'],
  ])('has a row for %s', (path) => {
    expect(endpoints.map((name) => name.split(' ')[1])).toContain(path);
  });

  it('says something in every cell: codes that are resolved, n/a or missing', () => {
    const known = new Set(tests.map(([code]) => code));
    for (const [name, ...cells] of checks) {
      expect([name, cells.length]).toEqual([name, 13]);
      for (const cell of cells) {
        const words = cell.split(' ').filter((word) => word !== '**missing**');
        const strange = words.length === 1 && words[0] === 'n/a' ? [] : words.filter((word) => !known.has(word));
        expect([name, strange]).toEqual([name, []]);
        expect(cell).not.toBe('');
      }
    }
  });

  it('resolves no code that no endpoint has', () => {
    const used = new Set(checks.flatMap((row) => row.slice(1).flatMap((cell) => cell.split(' '))));
    expect(tests.map(([code = '']) => code).filter((code) => !used.has(code))).toEqual([]);
  });

  const files = [...new Set(tests.map(([, file = '']) => file.replaceAll('`', '')))];

  it.each(files)('names tests of %s that are there under these titles', (file) => {
    expect(existsSync(projectFile(file))).toBe(true);
    const titles = titlesIn(file);
    const named = tests.filter(([, where]) => where === `\`${file}\``).map(([, , title = '']) => title);
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((title) => !titles.has(title))).toEqual([]);
  });
});
