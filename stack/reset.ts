import './check-node';
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { endStrayPostgres } from './postgres';
import { postgresPlaces, removePostgres } from './postgres-home';
import { explained, StackError } from './stack-error';
import { openStateFolder, type StateFolder } from './state-folder';
import { lockStateFolder } from './state-lock';
import { endOrphans } from './supervisor';
import { toolCache } from './tool-cache';

/** `npm run reset`: removes the state folder; with `--tools` also the tools that were built or downloaded. */
async function main(): Promise<void> {
  const folder = openStateFolder(process.env);
  const unlock = lockStateFolder(folder);
  try {
    await endOrphans(folder, console.log);
    for (const data of postgresPlaces(folder.postgres)) await endStrayPostgres(data, console.log);
    removePostgres(folder.postgres);
    removeState(folder);
    if (!process.argv.includes('--tools')) return;
    rmSync(toolCache(process.env), { recursive: true, force: true });
    console.log(`Removed ${toolCache(process.env)}.`);
  } finally {
    unlock();
  }
}

/** Removes what the stack made and nothing else: DOMOVOY_STATE_DIR may name a folder that holds other things too. */
function removeState(folder: StateFolder): void {
  const { path, certificates, secrets, temporal, logs, sandbox, journalHeads, journalSpools, run } = folder;
  // The lock lies in the last one.
  for (const name of [certificates, secrets, temporal, logs, sandbox, journalHeads, journalSpools, run]) {
    rmSync(name, { recursive: true, force: true });
  }
  const left = existsSync(path) ? readdirSync(path) : [];
  if (left.length === 0) {
    rmdirSync(path);
    console.log(`Removed ${path}.`);
  } else {
    console.log(
      `Removed what the stack made in ${path}; left there: ${left.map((name) => basename(name)).join(', ')}.`,
    );
  }
}

main().catch((error: unknown) => {
  const told = explained(error, 'removing the state');
  console.error(told instanceof StackError ? told.message : told);
  process.exitCode = 1;
});
