import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { assertSpace, openStateFolder, removeState, secretFile, writeDurably } from './state-folder';
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

  it('says in a sentence that it cannot be made where it is to lie', () => {
    const link = join(root, 'link');
    symlinkSync('/no/such/folder', link);
    expect(() => openStateFolder({ DOMOVOY_STATE_DIR: join(link, 'state') })).toThrow(
      `${join(link, 'state')} cannot be made where it is to lie. Choose another folder with DOMOVOY_STATE_DIR.`,
    );
  });
});

/** Where mkdir says that there is nothing, although what is above is there. */
(process.platform === 'linux' ? it : it.skip)(
  'is not looked for where the kernel takes no folders: that is said, and it ends',
  () => {
    for (const path of ['/proc/domovoy', '/proc/domovoy/state', '/proc']) {
      expect(() => openStateFolder({ DOMOVOY_STATE_DIR: path })).toThrow(
        / cannot be made where it is to lie\. Choose another folder with DOMOVOY_STATE_DIR\.$/,
      );
    }
  },
);

describe('the state folder at a reset', () => {
  it('is gone, whatever a start made in it', () => {
    const folder = fresh();
    for (const name of readdirSync(folder.path)) writeFileSync(join(folder.path, name, 'file'), '');
    expect(removeState(folder)).toEqual([]);
    expect(existsSync(folder.path)).toBe(false);
  });

  it('stays with what others keep in it', () => {
    const folder = fresh();
    mkdirSync(join(folder.path, 'precious'));
    expect(removeState(folder)).toEqual(['precious']);
    expect(readdirSync(folder.path)).toEqual(['precious']);
  });
});

/** The kernel's own: a file system without a free byte, and a device that is always full. */
(process.platform === 'linux' ? describe : describe.skip)('a full disk', () => {
  it('is named before anything starts, with the remedy', () => {
    expect(() => assertSpace({ ...fresh(), path: '/proc' })).toThrow(
      'Only 0 MB are free where /proc lies. Free at least 1 GB, or choose another disk with DOMOVOY_STATE_DIR.',
    );
  });

  it('is named when a file cannot be written, with the remedy', () => {
    const path = join(fresh().sandbox, 'file');
    symlinkSync('/dev/full', `${path}.new`);
    expect(() => writeDurably(path, 'x')).toThrow(
      `The disk is full (writing ${path}). Free some space and start again.`,
    );
    expect(existsSync(path)).toBe(false);
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
