import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { StartFailure } from '../start-failure';
import { Standing } from './config';

const Book = z.record(z.string(), z.record(z.string(), Standing));
type Book = z.infer<typeof Book>;

/** Who has paid for what, in one JSON file that is replaced as a whole. */
export function openAccounts(dataDir: string, initial: Book) {
  const file = path.join(dataDir, 'accounts.json');
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  // No prototype: an account may be called `constructor`.
  const book = new Map(
    Object.entries(read(file) ?? initial).map(([id, services]) => [id, new Map(Object.entries(services))]),
  );
  let writing: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    const content = Object.fromEntries([...book].map(([id, services]) => [id, Object.fromEntries(services)]));
    const handle = await open(`${file}.new`, 'w', 0o600);
    try {
      await handle.writeFile(JSON.stringify(content, null, 2));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
  }

  return {
    standing: (accountId: string, service: string): Standing | undefined => book.get(accountId)?.get(service),
    /** Resolves when the new standing is on the disk. */
    set(accountId: string, service: string, standing: Standing): Promise<void> {
      const services = book.get(accountId) ?? new Map<string, Standing>();
      services.set(service, standing);
      book.set(accountId, services);
      writing = writing.then(write, write);
      return writing;
    },
  };
}
export type Accounts = ReturnType<typeof openAccounts>;

function read(file: string): Book | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return Book.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    throw new StartFailure(`${file} cannot be read; move it away to start from the configuration`);
  }
}
