import { ApplicationFailure } from '@temporalio/common';
import { FAILURES } from '../contracts/failures';
import { HeadInvalid } from '../journal/heads';
import { HeadsFolderBroken, type HeadsFolder } from '../journal/heads-folder';
import { appendJournal } from '../journal/journal';
import { exportHeads, JournalNotExtending, signHead } from '../journal/sealing';
import { placeEntries, type IsAuthentic } from '../journal/tree';
import type { Database } from '../prisma/database';
import type { DocumentSigner } from '../vault/document-signature';

export type JournalSealingActivities = ReturnType<typeof createJournalSealingActivities>;

const BATCH = 1_000;
/** How often a journal that stays broken says so again in itself. */
const ALARM_EVERY_MS = 3_600_000;

/** Effects of the journal's sealing, run by the `core` worker, which alone has the key. Each may be repeated. */
export function createJournalSealingActivities(deps: {
  database: Database;
  signer: DocumentSigner;
  outside: HeadsFolder;
  /** Whether a process of ours wrote an entry. */
  isAuthentic: IsAuthentic;
}) {
  const { database, signer, outside, isAuthentic } = deps;
  return {
    async placeJournalEntries(): Promise<{ placed: number; more: boolean }> {
      const placed = await placeEntries(database, BATCH, isAuthentic);
      const isRefused = await database.journalPending.findFirst({ where: { byStranger: true } });
      if (isRefused) await alarm(database, 'not-placed', 'JournalStranger');
      return { placed, more: placed === BATCH };
    },
    /** @returns the size of the tree that is signed */
    async signJournalHead(): Promise<number> {
      return signHead(database, signer, outside, { isAuthentic }).catch((error: unknown) => stop(database, error));
    },
    /** @returns how many heads went outside */
    async exportJournalHeads(): Promise<number> {
      return exportHeads(database, outside).catch((error: unknown) => stop(database, error));
    },
  };
}

/** A journal that is no longer what was signed is for a person to look at: trying again would change nothing. */
async function stop(database: Database, error: unknown): Promise<never> {
  const isBroken =
    error instanceof JournalNotExtending || error instanceof HeadsFolderBroken || error instanceof HeadInvalid;
  if (!isBroken) throw error;
  await alarm(database, 'not-signed', error.name);
  throw ApplicationFailure.create({
    type: 'JournalBroken',
    message: 'The journal is not what was signed before: nothing is signed until somebody has looked.',
    nonRetryable: !FAILURES.JournalBroken.retryable,
  });
}

/** Is told on by the monitoring (monitoring/rules/journal-head.ts). */
async function alarm(database: Database, outcome: 'not-signed' | 'not-placed', reason: string): Promise<void> {
  const about = { kind: 'alarm', objectId: 'journal', outcome } as const;
  const alarmed = await database.journalEntry.findFirst({
    where: { ...about, at: { gt: new Date(Date.now() - ALARM_EVERY_MS) } },
  });
  if (alarmed) return;
  await appendJournal(database, { ...about, integration: null, actor: 'journal-sealing', reason });
}
