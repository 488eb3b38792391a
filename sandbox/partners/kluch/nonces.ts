import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

const Line = z.tuple([z.string(), z.number()]);
/** After so many lines the file is written anew without the dead ones. */
const REWRITE_AFTER = 20_000;

/**
 * Nonces that were used, for as long as a signature with them could still pass. They are handed to the operating system
 * before a request goes on, so a process that is killed and started again remembers them; a machine that loses power
 * may forget the last ones, and a signature lives a minute at most.
 */
export function openNonces(file: string, now: () => Date) {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  let live = read(file, now().getTime());
  let lines = 0;
  let descriptor = rewritten();

  function rewritten(): number {
    const time = now().getTime();
    live = new Map([...live].filter(([, until]) => until >= time));
    lines = live.size;
    writeFileSync(`${file}.new`, [...live].map((entry) => `${JSON.stringify(entry)}\n`).join(''), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    return openSync(file, 'a', 0o600);
  }

  return {
    /** `false`: this key used this nonce before. */
    use(keyid: string, nonce: string, until: Date): boolean {
      const name = JSON.stringify([keyid, nonce]);
      if (live.has(name)) return false;
      live.set(name, until.getTime());
      writeSync(descriptor, `${JSON.stringify([name, until.getTime()])}\n`);
      lines += 1;
      if (lines > Math.max(REWRITE_AFTER, 2 * live.size)) {
        closeSync(descriptor);
        descriptor = rewritten();
      }
      return true;
    },
    close: () => closeSync(descriptor),
  };
}
export type Nonces = ReturnType<typeof openNonces>;

function read(file: string, time: number): Map<string, number> {
  if (!existsSync(file)) return new Map();
  const entries = readFileSync(file, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const parsed = Line.safeParse(parsedOrNull(line));
      return parsed.success && parsed.data[1] >= time ? [parsed.data] : [];
    });
  return new Map(entries);
}

/** A torn line was never answered: it does not count. */
function parsedOrNull(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
