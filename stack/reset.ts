import { rmSync } from 'node:fs';
import { removePostgresElsewhere } from './postgres-home';
import { StackError } from './stack-error';
import { lockStateFolder, openStateFolder } from './state-folder';
import { endOrphans } from './supervisor';
import { toolCache } from './tool-cache';

/** `npm run reset`: removes the state folder; with `--tools` also the tools that were built or downloaded. */
async function main(): Promise<void> {
  const folder = openStateFolder(process.env);
  const unlock = lockStateFolder(folder);
  try {
    await endOrphans(folder, console.log);
    removePostgresElsewhere(folder.postgres);
    rmSync(folder.path, { recursive: true, force: true });
    console.log(`Removed ${folder.path}.`);
    if (!process.argv.includes('--tools')) return;
    rmSync(toolCache(process.env), { recursive: true, force: true });
    console.log(`Removed ${toolCache(process.env)}.`);
  } finally {
    unlock();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof StackError ? error.message : error);
  process.exitCode = 1;
});
