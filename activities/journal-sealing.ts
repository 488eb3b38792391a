import { ApplicationFailure } from '@temporalio/common';
import { FAILURES } from '../contracts/failures';
import { HeadInvalid } from '../journal/heads';
import { HeadsFolderBroken, type HeadsFolder } from '../journal/heads-folder';
import { appendJournal } from '../journal/journal';
import { exportHeads, JournalNotExtending, signHead } from '../journal/sealing';
import { placeEntries } from '../journal/tree';
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
}) {
  const { database, signer, outside } = deps;
  return {
    async placeJournalEntries(): Promise<{ placed: number; more: boolean }> {
      const placed = await placeEntries(database, BATCH);
      return { placed, more: placed === BATCH };
    },
    /** @returns the size of the tree that is signed */
    async signJournalHead(): Promise<number> {
      return signHead(database, signer, outside).catch((error: unknown) => alarm(database, error));
    },
    /** @returns how many heads went outside */
    async exportJournalHeads(): Promise<number> {
      return exportHeads(database, outside).catch((error: unknown) => alarm(database, error));
    },
  };
}

/** A journal that is no longer what was signed is for a person to look at: trying again would change nothing. */
async function alarm(database: Database, error: unknown): Promise<never> {
  const isBroken =
    error instanceof JournalNotExtending || error instanceof HeadsFolderBroken || error instanceof HeadInvalid;
  if (!isBroken) throw error;
  const alarmed = await database.journalEntry.findFirst({
    where: { kind: 'alarm', objectId: 'journal', at: { gt: new Date(Date.now() - ALARM_EVERY_MS) } },
  });
  if (!alarmed) {
    await appendJournal(database, {
      kind: 'alarm',
      integration: null,
      objectId: 'journal',
      actor: 'journal-sealing',
      outcome: 'not-signed',
      reason: error.name,
    });
  }
  throw ApplicationFailure.create({
    type: 'JournalBroken',
    message: 'The journal is not what was signed before: nothing is signed until somebody has looked.',
    nonRetryable: !FAILURES.JournalBroken.retryable,
  });
}
