import '../stack/check-node';
import { benchAccess } from './access';
import { benchFaces } from './faces';
import { benchJournal } from './journal';

const CHAPTERS = { access: benchAccess, faces: benchFaces, journal: benchJournal };

/** `npm run bench -- access | faces | journal`: measures, prints the figures and writes them to `docs/benchmarks`. */
async function main(): Promise<void> {
  const [, , name = '', ...parts] = process.argv;
  const chapter = Object.entries(CHAPTERS).find(([known]) => known === name)?.[1];
  if (!chapter) throw new Error(`Say what to measure: ${Object.keys(CHAPTERS).join(', ')}.`);
  const ending = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => ending.abort());
  await chapter(
    process.env,
    (line) => {
      console.log(line);
    },
    ending.signal,
    parts,
  );
}

main()
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  })
  // Nothing is left to wait for; a socket that lingers must not keep the terminal.
  .finally(() => process.exit());
