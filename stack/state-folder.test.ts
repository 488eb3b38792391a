import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { openStateFolder, secretFile, writeDurably } from './state-folder';
import { StackError } from './stack-error';

const root = mkdtempSync(join(tmpdir(), 'domovoy-state-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = () => openStateFolder({ DOMOVOY_STATE_DIR: mkdtempSync(join(root, 'f-')) });
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('the state folder', () => {
  it('lies where DOMOVOY_STATE_DIR says, as an absolute path', () => {
    const path = join(root, 'named');
    expect(openStateFolder({ DOMOVOY_STATE_DIR: relative(process.cwd(), path) }).path).toBe(path);
  });

  it('keeps secrets and certificates from other users', () => {
    const folder = fresh();
    for (const name of [folder.secrets, folder.certificates, folder.run]) expect(modeOf(name)).toBe(0o700);
  });

  it('says in a sentence that a file stands in its way', () => {
    const path = join(root, 'file');
    writeFileSync(path, '');
    expect(() => openStateFolder({ DOMOVOY_STATE_DIR: path })).toThrow(StackError);
  });
});

describe('a secret', () => {
  it('is made once and found again', () => {
    const folder = fresh();
    const first = secretFile(folder, 'key', () => 'made');
    const second = secretFile(folder, 'key', () => 'made anew');
    expect(second).toEqual(first);
    expect(modeOf(first.path)).toBe(0o600);
    expect(readdirSync(folder.secrets)).toEqual(['key']);
  });

  it('is never made anew when it is there and cannot be read', () => {
    const folder = fresh();
    // A folder of that name: unreadable as a file, for root too.
    writeDurably(join(folder.secrets, 'other'), 'x');
    const path = join(folder.secrets, 'key');
    openStateFolder({ DOMOVOY_STATE_DIR: path });
    const make = jest.fn(() => 'made');
    expect(() => secretFile(folder, 'key', make)).toThrow();
    expect(make).not.toHaveBeenCalled();
  });

  it('is not used when it is empty', () => {
    const folder = fresh();
    writeFileSync(join(folder.secrets, 'key'), '');
    expect(() => secretFile(folder, 'key', () => 'made')).toThrow(/is empty/);
  });
});

it('leaves the old content in place when the new one cannot be written', () => {
  const folder = fresh();
  const path = join(folder.sandbox, 'file');
  writeDurably(path, 'old');
  // A folder where the temporary file would go.
  openStateFolder({ DOMOVOY_STATE_DIR: `${path}.new` });
  expect(() => writeDurably(path, 'new')).toThrow();
  expect(existsSync(path)).toBe(true);
  chmodSync(path, 0o600);
  expect(secretFile({ ...folder, secrets: folder.sandbox }, 'file', () => 'made').value).toBe('old');
});
