import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFile } from '../config/project-root';
import { checkDatabase } from '../journal/database-check';
import { openHeadsFolder } from '../journal/heads-folder';
import { appendJournal } from '../journal/journal';
import { exportHeads, signHead } from '../journal/sealing';
import { placeEntries } from '../journal/tree';
import { openDatabase, type Database } from '../prisma/database';
import { migrate } from '../prisma/migrate';
import { ensureDatabase, initializePostgres, postgresPlan, postgresUrl } from '../stack/postgres';
import { preparePostgresHome } from '../stack/postgres-home';
import { stackPorts } from '../stack/ports';
import { openStateFolder } from '../stack/state-folder';
import { createSupervisor } from '../stack/supervisor';
import { documentSigner } from '../vault/document-signature';
import { writeFigures } from './chapter';
import { machine } from './machine';
import { rounded } from './statistics';

const ENTRIES = 1_000_000;
/** Measured so often on the way, so that it shows how the figures grow. */
const STEPS = 5;
const WRITTEN_AT_ONCE = 500;
const PLACED_AT_ONCE = 1_000;

/** `npm run bench -- journal`: what entries cost, and how long their check takes, as they become many (R0.11). */
export async function benchJournal(
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
  ending: AbortSignal,
): Promise<void> {
  const entries = Number(env['BENCH_ENTRIES'] ?? ENTRIES);
  if (!Number.isInteger(entries) || entries < STEPS) throw new Error('BENCH_ENTRIES is not a number of entries.');
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-bench-'));
  // The database server may run as another user: it must be able to pass through.
  chmodSync(folder, 0o711);
  const state = openStateFolder({ DOMOVOY_STATE_DIR: folder });
  const supervisor = createSupervisor(state, print);
  ending.addEventListener('abort', () => void supervisor.stop());
  try {
    const { postgres: port } = stackPorts({ DOMOVOY_PORT_OFFSET: '600', ...env });
    const password = randomBytes(16).toString('hex');
    const home = preparePostgresHome(state.postgres, print);
    await initializePostgres(home, password);
    await supervisor.start(postgresPlan(home, port, password));
    await ensureDatabase(port, password, 'bench');
    const url = postgresUrl(port, password, 'bench');
    await migrate(url, projectFile('prisma/migrations'));
    const database = openDatabase(url, 4);
    const steps = await measure(database, entries, join(folder, 'heads'), print, ending);
    await database.$disconnect();
    const report = { date: new Date().toISOString(), machine: machine(), entries, steps };
    writeFigures('journal.json', `${JSON.stringify(report, null, 2)}\n`);
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
  const outside = openHeadsFolder(headsPath);
  const each = Math.floor(entries / STEPS);
  const steps = [];
  print('   entries   written/s    placed/s   signed ms   checked/s   one of 1,000 checked ms');
  for (let step = 1; step <= STEPS && !ending.aborted; step++) {
    const writtenS = await seconds(() => write(database, each, ending));
    const placedS = await seconds(async () => {
      while ((await placeEntries(database, PLACED_AT_ONCE)) > 0);
    });
    const signedS = await seconds(() => signHead(database, signer, outside));
    await exportHeads(database, outside);
    const checkedS = await seconds(() => check(database, {}));
    const partS = await seconds(() => check(database, { from: (step - 1) * each, to: (step - 1) * each + 1_000 }));
    const figures = {
      entries: step * each,
      writtenPerSecond: rounded(each / writtenS, 0),
      placedPerSecond: rounded(each / placedS, 0),
      signedMs: rounded(signedS * 1_000, 1),
      checkedPerSecond: rounded((step * each) / checkedS, 0),
      checkedS: rounded(checkedS, 2),
      partCheckedMs: rounded(partS * 1_000, 1),
    };
    steps.push(figures);
    const { writtenPerSecond, placedPerSecond, signedMs, checkedPerSecond, partCheckedMs } = figures;
    const columns = [figures.entries, writtenPerSecond, placedPerSecond, signedMs, checkedPerSecond, partCheckedMs];
    print(columns.map((value) => value.toString().padStart(10)).join('  '));
  }
  return steps;
}

async function write(database: Database, count: number, ending: AbortSignal): Promise<void> {
  for (let written = 0; written < count && !ending.aborted; written += WRITTEN_AT_ONCE) {
    const batch = Array.from({ length: Math.min(WRITTEN_AT_ONCE, count - written) }, () => ({
      kind: 'exchange' as const,
      integration: 'smart-home',
      objectId: randomUUID(),
      actor: 'vizor',
      outcome: '200',
      reason: 'openDoorByFace',
    }));
    await appendJournal(database, ...batch);
  }
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
