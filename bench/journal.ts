import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFile } from '../config/project-root';
import { createEntryAuthenticator } from '../journal/authenticity';
import { checkDatabase } from '../journal/database-check';
import { openHeadsFolder, type HeadsFolder } from '../journal/heads-folder';
import { appendJournal, authenticateEntriesWith } from '../journal/journal';
import { exportHeads, signHead } from '../journal/sealing';
import { placeEntries, type IsAuthentic } from '../journal/tree';
import { openDatabase, type Database } from '../prisma/database';
import { ensureLogins } from '../prisma/logins';
import { migrate } from '../prisma/migrate';
import { ensureDatabase, initializePostgres, postgresPlan, postgresUrl } from '../stack/postgres';
import { preparePostgresHome } from '../stack/postgres-home';
import { stackPorts } from '../stack/ports';
import { openStateFolder } from '../stack/state-folder';
import { createSupervisor } from '../stack/supervisor';
import { documentSigner, type DocumentSigner } from '../vault/document-signature';
import { described, isMet, readFigures, writeFigures, type Target } from './chapter';
import { measureJournalledOpening } from './journal-opening';
import { machine } from './machine';
import { inPassingStack } from './passing-stack';
import { median, rounded } from './statistics';

const ENTRIES = 1_000_000;
const LOGIN = 'bench_core';
/** Measured when it is so full, so that it shows how the figures grow. */
const STEPS = [0.1, 0.25, 0.5, 1];
/** As the processes write them (journal/exchanges.ts), by so many at once. */
const WRITTEN_AT_ONCE = 500;
const WRITERS = 2;
/** As the sealing places them (activities/journal-sealing.ts), and about what comes in a busy minute: a head each. */
const PLACED_AT_ONCE = 1_000;
const SIGNED_EACH = 10_000;

/** What the opening may cost more for its journal. */
const TARGET: Target = { atMost: 1.1 };
const PARTS = ['entries', 'opening'] as const;
type Part = (typeof PARTS)[number];

/**
 * `npm run bench -- journal [entries | opening]`: what entries cost, and how long their check takes, as they become many
 * (R0.11); and what the journal costs an opening. A part that is not asked for keeps its figures.
 */
export async function benchJournal(
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
  ending: AbortSignal,
  asked: readonly string[] = [],
): Promise<void> {
  const parts = asked.length === 0 ? PARTS : PARTS.filter((part) => asked.includes(part));
  const figures: Partial<Record<Part, unknown>> = readFigures('journal.json');
  const taken = () => ({ date: new Date().toISOString(), machine: machine() });
  for (const part of parts) {
    if (part === 'entries') figures[part] = { ...taken(), ...(await benchEntries(env, print, ending)) };
    else figures[part] = { ...taken(), ...(await benchOpening(env, print, ending)) };
    writeFigures(
      'journal.json',
      `${JSON.stringify({ entries: figures.entries, opening: figures.opening }, null, 2)}\n`,
    );
  }
}

async function benchOpening(env: NodeJS.ProcessEnv, print: (line: string) => void, ending: AbortSignal) {
  const figures = await inPassingStack(env, print, ending, measureJournalledOpening);
  const met = isMet(figures.p50Ratio, TARGET);
  print(`opening.p50Ratio ${figures.p50Ratio.toString()}   ${described(TARGET)}: ${met ? 'met' : 'NOT met'}`);
  return { target: { ...TARGET, met }, ...figures };
}

async function benchEntries(env: NodeJS.ProcessEnv, print: (line: string) => void, ending: AbortSignal) {
  const entries = Number(env['BENCH_ENTRIES'] ?? ENTRIES);
  if (!Number.isInteger(entries) || entries < 1_000) throw new Error('BENCH_ENTRIES is not a number of entries.');
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-bench-'));
  // The database server may run as another user: it must be able to pass through.
  chmodSync(folder, 0o711);
  const state = openStateFolder({ DOMOVOY_STATE_DIR: folder });
  const supervisor = createSupervisor(state, print);
  ending.addEventListener('abort', () => void supervisor.stop());
  const startedMs = performance.now();
  try {
    const { postgres: port } = stackPorts({ DOMOVOY_PORT_OFFSET: '600', ...env });
    const password = randomBytes(16).toString('hex');
    const home = preparePostgresHome(state.postgres, print);
    await initializePostgres(home, password);
    await supervisor.start(postgresPlan(home, port, password));
    await ensureDatabase(port, password, 'bench');
    const url = postgresUrl(port, password, 'bench');
    await migrate(url, projectFile('prisma/migrations'));
    // What the owner writes gets no place.
    await ensureLogins(url, [{ name: LOGIN, password, role: 'domovoy_core' }]);
    const database = openDatabase(postgresUrl(port, password, 'bench', LOGIN), 4);
    const steps = await measure(database, entries, join(folder, 'heads'), print, ending);
    const [size] = await database.$queryRaw<{ mb: number }[]>`
      SELECT (pg_database_size(current_database()) / 1000000)::int AS mb`;
    await database.$disconnect();
    return { entries, durationS: rounded((performance.now() - startedMs) / 1_000, 0), databaseMb: size?.mb, steps };
  } finally {
    await supervisor.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  database: Database,
  entries: number,
  headsPath: string,
  print: (line: string) => void,
  ending: AbortSignal,
) {
  const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const signer = documentSigner(key);
  const authenticator = createEntryAuthenticator({ keys: new Map([['bench', randomBytes(32)]]), currentId: 'bench' });
  authenticateEntriesWith(authenticator);
  const { isAuthentic } = authenticator;
  const outside = openHeadsFolder(headsPath);
  const steps = [];
  let before = 0;
  print('   entries   written/s    placed/s   signed ms   checked/s   one of 1,000 checked ms');
  for (const share of STEPS) {
    if (ending.aborted) break;
    const after = Math.floor(entries * share);
    const each = after - before;
    const writtenS = await seconds(() => write(database, each, ending));
    const { placedS, signedS } = await seal(database, signer, outside, isAuthentic);
    const checkedS = await seconds(() => check(database, {}));
    const middle = Math.floor(before + each / 2);
    const partS = await seconds(() => check(database, { from: middle, to: middle + 1_000 }));
    const figures = {
      entries: after,
      writtenPerSecond: rounded(each / writtenS, 0),
      placedPerSecond: rounded(each / placedS, 0),
      signedMs: rounded(signedS * 1_000, 1),
      checkedPerSecond: rounded(after / checkedS, 0),
      checkedS: rounded(checkedS, 2),
      partCheckedMs: rounded(partS * 1_000, 1),
    };
    steps.push(figures);
    before = after;
    const { writtenPerSecond, placedPerSecond, signedMs, checkedPerSecond, partCheckedMs } = figures;
    const columns = [figures.entries, writtenPerSecond, placedPerSecond, signedMs, checkedPerSecond, partCheckedMs];
    print(columns.map((value) => value.toString().padStart(10)).join('  '));
  }
  return steps;
}

/** Places everything that waits, and signs on the way. @returns seconds of the placing in all, and of a signature */
async function seal(
  database: Database,
  signer: DocumentSigner,
  outside: HeadsFolder,
  isAuthentic: IsAuthentic,
): Promise<{ placedS: number; signedS: number }> {
  let placedS = 0;
  const signaturesS: number[] = [];
  for (let placed = 1, unsigned = 0; placed > 0;) {
    placedS += await seconds(async () => (placed = await placeEntries(database, PLACED_AT_ONCE, isAuthentic)));
    unsigned += placed;
    if (unsigned < SIGNED_EACH && (placed > 0 || unsigned === 0)) continue;
    signaturesS.push(await seconds(() => signHead(database, signer, outside, { isAuthentic })));
    await exportHeads(database, outside);
    unsigned = 0;
  }
  return { placedS, signedS: median(signaturesS) };
}

async function write(database: Database, count: number, ending: AbortSignal): Promise<void> {
  let begun = 0;
  const writer = async (): Promise<void> => {
    while (begun < count && !ending.aborted) {
      const size = Math.min(WRITTEN_AT_ONCE, count - begun);
      begun += size;
      await writeSome(database, size);
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

async function writeSome(database: Database, count: number): Promise<void> {
  const batch = Array.from({ length: count }, () => ({
    kind: 'exchange' as const,
    integration: 'smart-home',
    objectId: randomUUID(),
    actor: 'vizor',
    outcome: '200',
    reason: 'openDoorByFace',
  }));
  await appendJournal(database, ...batch);
}

async function check(database: Database, range: { from?: number; to?: number }): Promise<void> {
  const result = await checkDatabase(database, range);
  if (!result.ok) throw new Error(`The journal is not valid: ${result.why}.`);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return (performance.now() - startedMs) / 1_000;
}
