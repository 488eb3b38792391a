import type { RequestHandler } from 'express';
import type { Logger } from '../config/logger';
import { isComparedWithLedger } from '../erasure/restore-check';
import type { Database } from '../prisma/database';
import { HttpProblem } from './problem';

export type RestoreGate = {
  /** Stands before everything that is asked of the API. */
  readonly admit: RequestHandler;
  /** @throws while nothing is let through */
  readonly assertOpen: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const LOOK_EVERY_MS = 2_000;
/** The worker `core` compares within seconds. */
const LOOK_EVERY_WHILE_SHUT_MS = 250;

/**
 * Lets nothing through while the database may be a restored backup that nobody has compared with the ledger of erasures:
 * people who were erased would come in (docs/adr/0078). Asked at the start, and again and again, since a database may be
 * restored under a process that runs. While it does not answer, nothing is decided anyway, and the gate stays as it was.
 */
export async function openRestoreGate({ database, log }: { database: Database; log: Logger }): Promise<RestoreGate> {
  let isOpen = false;
  let isClosing = false;
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();

  async function look(): Promise<void> {
    const was = isOpen;
    try {
      isOpen = await isComparedWithLedger(database);
    } catch (error) {
      log.warn({ event: 'restore-gate', error }, 'whether the database was restored could not be asked');
    }
    if (was && !isOpen) log.warn({ event: 'restore-gate' }, 'shut until the database is compared with the ledger');
    if (isClosing) return;
    timer = setTimeout(
      () => {
        looking = look();
      },
      isOpen ? LOOK_EVERY_MS : LOOK_EVERY_WHILE_SHUT_MS,
    ).unref();
  }
  await look();

  return {
    admit: (_req, _res, next) => {
      next(isOpen ? undefined : shut());
    },
    assertOpen: () => (isOpen ? Promise.resolve() : Promise.reject(new Error('not compared with the ledger'))),
    async close() {
      isClosing = true;
      clearTimeout(timer);
      await looking;
    },
  };
}

const shut = (): HttpProblem =>
  new HttpProblem({
    status: 503,
    type: 'unavailable',
    title: 'A part that this rests on does not answer',
    headers: { 'retry-after': '1' },
  });
