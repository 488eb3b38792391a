import * as wf from '@temporalio/workflow';
import type { JournalSealingActivities } from '../../activities/journal-sealing';

const { placeJournalEntries, signJournalHead, exportJournalHeads } = wf.proxyActivities<JournalSealingActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { initialInterval: '1 second', maximumInterval: '10 seconds', maximumAttempts: 4 },
});

/** What is left after that many is for the next turn, so that a head is signed in between. */
const MOST_BATCHES = 50;

/** Run by a schedule: gives new entries their place in the tree, signs what it is then, and takes the head outside. */
export async function journalSealingWorkflow(): Promise<{ placed: number; treeSize: number; exported: number }> {
  let placed = 0;
  for (let batch = 0, more = true; more && batch < MOST_BATCHES; batch++) {
    const result = await placeJournalEntries();
    placed += result.placed;
    more = result.more;
  }
  return { placed, treeSize: await signJournalHead(), exported: await exportJournalHeads() };
}
