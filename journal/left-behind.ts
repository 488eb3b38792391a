import type { Database } from '../prisma/database';
import { appendOnce, writtenOf, type JournalRecord } from './journal';
import { countedTogether } from './refusals';
import { OVER_AFTER_MS, spoolsIn, type LeftBehind, type Numbered } from './spool';

const AT_ONCE = 500;
const LOOK_EVERY_MS = OVER_AFTER_MS / 2;

/**
 * Writes what processes that died had noted (journal/spool.ts): at once when this one starts, and later whatever nobody
 * touches any more, until none is left. Of a process that lives after all it may write some lines first: that one finds
 * them written. An entry of its own says that they are late, and when they were noted: the journal's time is that of the
 * writing.
 */
export function writeLeftBehind(
  database: Database,
  folder: string,
  ownIds: readonly string[],
): { readonly close: () => Promise<void> } {
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  let working = look(true);

  async function look(isStart: boolean): Promise<void> {
    const isAnyLeft = await writeAll(isStart).catch(() => true);
    if (isClosed || !isAnyLeft) return;
    timer = setTimeout(() => {
      working = look(false);
    }, LOOK_EVERY_MS).unref();
  }

  /** @returns whether one has to be looked at again */
  async function writeAll(isStart: boolean): Promise<boolean> {
    let isAnyLeft = false;
    for (const spool of spoolsIn(folder, ownIds)) {
      // Whoever was there when this one started has either died by now, and is over soon, or writes its own.
      if (isStart || spool.isOver) await writeLines(database, spool, () => isClosed);
      if (spool.isOver && !isClosed) spool.remove();
      else isAnyLeft = true;
    }
    return isAnyLeft;
  }

  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await working;
    },
  };
}

/** The row of `journal_spools` stays, so that its process, if it lives after all, knows what is written. */
async function writeLines(database: Database, spool: LeftBehind, isStopped: () => boolean): Promise<void> {
  const { id } = spool;
  let written = await writtenOf(database, id);
  let batch: Numbered[] = [];
  async function write(): Promise<void> {
    while (batch.length > 0) {
      const to = (batch.at(-1)?.number ?? written) + 1;
      const records = [...countedTogether(batch.map(({ record }) => record)), lateEntry(id, batch)];
      const isNew = await appendOnce(database, { spool: id, from: written, to }, records);
      written = isNew ? to : await writtenOf(database, id);
      batch = batch.filter(({ number }) => number >= written);
    }
  }
  for await (const line of spool.read()) {
    if (isStopped()) return;
    if (line.number >= written && batch.push(line) === AT_ONCE) await write();
  }
  await write();
}

function lateEntry(id: string, lines: readonly Numbered[]): JournalRecord {
  const integrations = new Set(lines.map(({ record }) => record.integration));
  const [first, last] = [lines[0], lines.at(-1)].map((line) => new Date(line?.atMs ?? 0).toISOString());
  return {
    kind: 'journal-spool',
    integration: integrations.size === 1 ? (lines[0]?.record.integration ?? null) : null,
    objectId: id,
    actor: 'journal-spool',
    outcome: 'written-late',
    reason: [lines.length.toString(), first, last].join(' '),
  };
}
