import { openDatabase, type Database } from '../prisma/database';
import type { Stack } from '../stack/stack';
import { interleavedLatencies } from './interleave';
import { createOpeningTwin, settle, spread } from './opening';
import { descendantsTimeMs } from './processor-time';
import { median, rounded } from './statistics';

const WARM_UP_UNITS = 100;
const UNITS_PER_BLOCK = 20;
const AT_MOST = { blocks: 40, withinMs: 90_000 };

/**
 * One caller's opening with the journal and without it, in short blocks that take turns. There is no way to run the
 * product without its journal; for the measurement the tables' owner has PostgreSQL drop every entry before it is a row,
 * with no note to the sealer. While the journal is on, nothing but what the product installs is in the way.
 *
 * The ratio is of medians of all units. The processor time of all processes for each opening stands beside it: other work
 * on the machine is not in that.
 */
export async function measureJournalledOpening(stack: Stack) {
  const owner = openDatabase(stack.ownerUrl, 1);
  const opening = await createOpeningTwin(stack, await settle(stack));
  const journal = await journalSwitch(owner);
  const processor = processorTimes();
  try {
    for (let unit = 0; unit < WARM_UP_UNITS; unit++) await opening.work();
    const taken = await interleavedLatencies(
      { measured: opening.work, bare: opening.work },
      {
        blocks: AT_MOST.blocks,
        unitsPerBlock: UNITS_PER_BLOCK,
        untilMs: performance.now() + AT_MOST.withinMs,
        before: async (side) => {
          await settled();
          processor.turn(side);
          await journal.set(side);
          processor.begin();
        },
      },
    );
    await settled();
    processor.turn('measured');
    await journal.assertDropped();
    const cpuMs = processor.perBlock();
    const perOpening = (blocks: readonly number[]): number => rounded(median(blocks) / UNITS_PER_BLOCK, 2);
    return {
      p50Ratio: rounded(median(taken.measured) / median(taken.bare)),
      cpuRatio: rounded(median(cpuMs.measured) / median(cpuMs.bare)),
      on: { ...spread(taken.measured), cpuMsPerOpening: perOpening(cpuMs.measured) },
      off: { ...spread(taken.bare), cpuMsPerOpening: perOpening(cpuMs.bare) },
    };
  } finally {
    await opening.close();
    await owner.$disconnect();
  }
}

type Side = 'measured' | 'bare';

/** What each block cost all processes, what they did a moment after it included: sides take turns, `measured` first. */
function processorTimes() {
  const blocks: Record<Side, number[]> = { measured: [], bare: [] };
  let beganMs: number | undefined;
  return {
    begin(): void {
      beganMs = descendantsTimeMs();
    },
    /** @param next the side that follows; the one that has ended is the other */
    turn(next: Side): void {
      if (beganMs !== undefined) blocks[next === 'bare' ? 'measured' : 'bare'].push(descendantsTimeMs() - beganMs);
      beganMs = undefined;
    },
    perBlock: (): Readonly<Record<Side, readonly number[]>> => blocks,
  };
}

/** Until the processes have written what they noted of the block before (journal/exchanges.ts). */
const settled = (): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, WRITTEN_AFTER_MS);
  });

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
