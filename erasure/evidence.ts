import type { ErasureEvent } from '../contracts/erasure';
import { appendJournal } from '../journal/journal';
import type { Transaction } from '../prisma/database';

/**
 * Evidence about an erasure. It names the request only: with the journal's pseudonym beside it, what else the journal
 * says of the person could be found through the request.
 */
export async function journalErasure(
  tx: Transaction,
  erasureId: string,
  entry: {
    readonly actor: string;
    readonly outcome: ErasureEvent;
    readonly reason?: string;
    readonly integration?: string;
  },
): Promise<void> {
  const { integration = null, ...rest } = entry;
  await appendJournal(tx, { kind: 'erasure', integration, objectId: erasureId, ...rest });
}
