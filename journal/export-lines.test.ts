import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { rootByDefinition } from '../test/support/tree-by-definition';
import { documentSigner, signDocument } from '../vault/document-signature';
import { canonicalEntry, leafOf } from './entry';
import { checkFile, entryLine, headerLine, headLine, type FileCheck } from './export-lines';
import { checkHead, HEAD_TYPE, hashText, type Head } from './head';
import { rightSpansAt, type Hash } from './merkle';

const newSigner = () =>
  documentSigner(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
const signer = newSigner();

type Row = Parameters<typeof canonicalEntry>[0];

const row = (seq: number, change: Partial<Row> = {}): Row => ({
  seq: BigInt(seq),
  at: new Date(1_800_000_000_000 + seq),
  integration: 'smart-home',
  kind: 'opening',
  objectId: `object-${seq.toString()}`,
  actor: 'app',
  outcome: 'opened',
  reason: null,
  subject: null,
  sealed: seq % 3 === 0 ? Buffer.from([seq % 256, 255, 0]) : null,
  mac: seq % 2 === 0 ? `k1.1.nonce.${seq.toString()}` : null,
  ...change,
});

function signedHead(leaves: readonly Hash[], key = signer): Head {
  const content = {
    treeSize: leaves.length,
    rootHash: hashText(rootByDefinition(leaves)),
    at: '2026-11-21T00:00:00.000Z',
    previous: null,
  };
  const check = checkHead(signDocument(key, HEAD_TYPE, content));
  if (!check.ok) throw new Error('a head that was just signed is valid');
  return check.head;
}

/** A file as the journal makes it; with `head`, one that somebody made to fit as well as can be without the key. */
function fileOf(rows: readonly Row[], head?: Head): string[] {
  const leaves = rows.map((entry) => leafOf(canonicalEntry(entry)));
  const lines = rows.map((entry, position) => {
    const right = rightSpansAt(position, rows.length).map(({ start, end }) =>
      rootByDefinition(leaves.slice(start, end)),
    );
    return entryLine(position, entry, right);
  });
  return [headerLine(rows.length), ...lines, headLine(head ?? signedHead(leaves))];
}

const check = (lines: readonly string[], keyId?: string): Promise<FileCheck> =>
  checkText(`${lines.join('\n')}\n`, keyId);
const checkText = (text: string, keyId?: string): Promise<FileCheck> =>
  checkFile(async function* () {
    yield* text.split('\n');
  }, keyId);

const rowsOf = (count: number): Row[] => Array.from({ length: count }, (_, index) => row(index + 1));
const files = new Map<number, string[]>();
const whole = (count: number): string[] => {
  const lines = files.get(count) ?? fileOf(rowsOf(count));
  files.set(count, lines);
  return lines;
};

/** A file of some size, and one of its entries' lines as an index into it. */
const fileAndLine = fc
  .integer({ min: 1, max: 40 })
  .chain((count) => fc.tuple(fc.constant(whole(count)), fc.integer({ min: 1, max: count })));

describe('an exported journal', () => {
  test('is valid as it was exported, and says whose key signed it', () =>
    fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70 }), async (count) => {
        const result = await check(whole(count), signer.keyId);
        expect(result).toMatchObject({ ok: true, head: { treeSize: count, keyId: signer.keyId } });
      }),
    ));

  test('names the very line in which any one character was changed', () =>
    fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 40 }).map(whole),
        fc.nat(),
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        async (lines, pickLine, pickAt, other) => {
          const index = pickLine % lines.length;
          const line = lines[index] ?? '';
          const at = pickAt % line.length;
          fc.pre(line[at] !== other && other !== '\n');
          const changed = lines.with(index, line.slice(0, at) + other + line.slice(at + 1));
          expect(await check(changed)).toMatchObject({ ok: false, line: index + 1 });
        },
      ),
      { numRuns: 500 },
    ));

  test('names the line where an entry was changed, however well the rest was made to fit', () =>
    fc.assert(
      fc.asyncProperty(fileAndLine, async ([lines, index]) => {
        const count = lines.length - 2;
        const authentic = signedHead(rowsOf(count).map((entry) => leafOf(canonicalEntry(entry))));
        const forged = fileOf(rowsOf(count).with(index - 1, row(index, { outcome: 'denied' })), authentic);
        // The forger may use any of the forged lines: from the first that differs on, all vouch for the wrong thing.
        const first = forged.findIndex((line, at) => line !== lines[at]) + 1;
        expect(await check(forged)).toMatchObject({ ok: false, line: first });
        const onlyThere = lines.with(index, forged[index] ?? '');
        expect(await check(onlyThere)).toMatchObject({ ok: false, line: index + 1, position: index - 1 });
      }),
    ));

  test('names the place of a line that was taken out', () =>
    fc.assert(
      fc.asyncProperty(fileAndLine, async ([lines, index]) => {
        const result = await check(lines.toSpliced(index, 1));
        expect(result).toMatchObject({ ok: false, line: index + 1, position: index - 1 });
      }),
    ));

  test('names the line that was put in', () =>
    fc.assert(
      fc.asyncProperty(fileAndLine, fc.integer({ min: 1, max: 99 }), async ([lines, index], seq) => {
        const foreign = entryLine(index, row(seq, { actor: 'forger' }), []);
        expect(await check(lines.toSpliced(index + 1, 0, foreign))).toMatchObject({ ok: false, line: index + 2 });
      }),
    ));

  test('names the first of two lines that changed places', () =>
    fc.assert(
      fc.asyncProperty(fileAndLine, fc.nat(), async ([lines, index], pick) => {
        const other = 1 + (pick % (lines.length - 2));
        fc.pre(other !== index);
        const swapped = lines.with(index, lines[other] ?? '').with(other, lines[index] ?? '');
        expect(await check(swapped)).toMatchObject({ ok: false, line: Math.min(index, other) + 1 });
      }),
    ));

  test('is not valid cut off anywhere, and never an error', async () => {
    const text = `${whole(5).join('\n')}\n`;
    for (let length = 0; length < text.length; length += 7) {
      expect((await checkText(text.slice(0, length))).ok).toBe(false);
    }
    expect(await checkText(text.slice(0, -1))).toMatchObject({ ok: false, line: 7, why: 'cut-off' });
    expect(await checkText(`${text}\n`)).toMatchObject({ ok: false, line: 8 });
  });

  test('is refused under a key that was not asked for, and with the head of another journal', async () => {
    const other = newSigner();
    expect(await check(whole(5), other.keyId)).toMatchObject({ ok: false, line: 7, why: 'head-other-key' });
    const foreign = signedHead([leafOf('x'), leafOf('y'), leafOf('z'), leafOf('a'), leafOf('b')]);
    expect(await check(whole(5).with(6, headLine(foreign)))).toMatchObject({ ok: false, line: 2 });
  });
});

test('the canonical form has its members in the order of their names, and gives the ciphertext', () => {
  const text = canonicalEntry(row(3));
  const members = Object.keys(JSON.parse(text) as object);
  expect(members).toEqual([...members].sort());
  expect(text).toBe(
    '{"actor":"app","at":"2027-01-15T08:00:00.003Z","integration":"smart-home","kind":"opening",' +
      '"objectId":"object-3","outcome":"opened","reason":null,"sealed":"A_8A","seq":"3","subject":null,"v":1}',
  );
  const coded = canonicalEntry(row(4));
  expect(Object.keys(JSON.parse(coded) as object)).toEqual([...members, 'mac'].sort());
  expect(coded).toMatch(/"mac":"k1\.1\.nonce\.4",.*"v":2}$/);
});
