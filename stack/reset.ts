import './check-node';
import { rmSync } from 'node:fs';
import { endStrayPostgres } from './postgres';
import { postgresPlaces, removePostgres } from './postgres-home';
import { explained, StackError } from './stack-error';
import { openStateFolder, removeState } from './state-folder';
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
    const left = removeState(folder);
    console.log(
      left.length === 0
        ? `Removed ${folder.path}.`
        : `Removed what the stack made in ${folder.path}; left there: ${left.join(', ')}.`,
    );
    if (!process.argv.includes('--tools')) return;
    rmSync(toolCache(process.env), { recursive: true, force: true });
    console.log(`Removed ${toolCache(process.env)}.`);
  } finally {
    unlock();
  }
}

main().catch((error: unknown) => {
  const told = explained(error, 'removing the state');
  console.error(told instanceof StackError ? told.message : told);
  process.exitCode = 1;
});
