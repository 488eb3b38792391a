import { openDatabase, type Database } from '../prisma/database';
import type { Stack } from '../stack/stack';
import { interleavedLatencies } from './interleave';
import { createOpeningTwin, settle, spread } from './opening';
import { median, rounded } from './statistics';

const WARM_UP_UNITS = 100;
const LATENCY = { blocks: 40, unitsPerBlock: 15, withinMs: 80_000 };

/**
 * One caller's opening with the journal and without it, in short blocks that take turns. There is no way to run the
 * product without its journal; for the measurement the tables' owner has PostgreSQL drop every entry before it is a row,
 * with no note to the sealer. While the journal is on, nothing but what the product installs is in the way.
 */
export async function measureJournalledOpening(stack: Stack) {
  const owner = openDatabase(stack.ownerUrl, 1);
  const opening = await createOpeningTwin(stack, await settle(stack));
  const journal = await journalSwitch(owner);
  try {
    for (let unit = 0; unit < WARM_UP_UNITS; unit++) await opening.work();
    const { blocks, unitsPerBlock, withinMs } = LATENCY;
    const taken = await interleavedLatencies(
      { measured: opening.work, bare: opening.work },
      { blocks, unitsPerBlock, untilMs: performance.now() + withinMs, before: journal.set },
    );
    await journal.assertDropped();
    return {
      p50Ratio: rounded(median(taken.measured) / median(taken.bare)),
      on: spread(taken.measured),
      off: spread(taken.bare),
    };
  } finally {
    await opening.close();
    await owner.$disconnect();
  }
}

/** How long a process takes to write what it noted of the block before (journal/exchanges.ts). */
const WRITTEN_AFTER_MS = 700;

async function journalSwitch(owner: Database) {
  await owner.$executeRawUnsafe(`CREATE FUNCTION bench_drop() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RETURN NULL; END $$`);
  await owner.$executeRawUnsafe(`CREATE TRIGGER bench_drop BEFORE INSERT ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION bench_drop()`);
  await owner.$executeRawUnsafe('ALTER TABLE journal_entries DISABLE TRIGGER bench_drop');
  const count = (): Promise<number> => owner.journalEntry.count({ where: { kind: 'opening' } });
  let before: number | undefined;
  let kept = 0;
  return {
    set: async (side: 'measured' | 'bare'): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, WRITTEN_AFTER_MS));
      const isOn = side === 'measured';
      if (isOn && before !== undefined) kept += (await count()) - before;
      await owner.$executeRawUnsafe(`ALTER TABLE journal_entries ${isOn ? 'DISABLE' : 'ENABLE'} TRIGGER bench_drop`);
      await owner.$executeRawUnsafe(
        `ALTER TABLE journal_entries ${isOn ? 'ENABLE' : 'DISABLE'} TRIGGER journal_entries_pending`,
      );
      if (!isOn) before = await count();
    },
    /** A comparison with itself would look good. */
    async assertDropped(): Promise<void> {
      if (before === undefined || kept !== 0 || (await count()) === 0)
        throw new Error('The journal was not off, or not on.');
    },
  };
}
