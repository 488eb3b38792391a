import { cancellationSignal } from '@temporalio/activity';
import type { FailureType } from '../contracts/failures';
import { journalErasure } from '../erasure/evidence';
import { PartnerError } from '../partners/failure';
import type { PartnerGateway } from '../partners/ports';
import type { Database } from '../prisma/database';

export type ErasedHolderActivities = ReturnType<typeof createErasedHolderActivities>;

const CALL_TIMEOUT_MS = 20_000;
const ACTOR = 'erasure-process';

/** What an integration's worker asks its partners after they confirmed: whether it is still so. */
export function createErasedHolderActivities(deps: {
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
}) {
  const { database } = deps;
  return {
    /**
     * Asks a holder of a face once more; of one that was found to hold something the deletion is ordered anew, each
     * time under a key of its own, because it has answered the key before with a confirmation that was not true.
     *
     * @returns `gone` only when the holder said so
     */
    async askErasedHolder(holderId: string): Promise<'gone' | 'held' | FailureType> {
      const holder = await database.erasureHolder.findUniqueOrThrow({ where: { id: holderId } });
      const { partnerId, houseId, token, foundAt } = holder;
      if (token === null || houseId === null) return 'gone';
      const house = await database.housePartner.findUnique({
        where: { houseId_partnerId: { houseId, partnerId } },
      });
      if (!house) return 'NotFound';
      const face = { subjectToken: token, partnerHouseId: house.partnerHouseId };
      try {
        const { biometrics } = await deps.gatewayOf(partnerId);
        if (biometrics.custody !== 'partner') return 'gone';
        const { custodian } = biometrics;
        const call = (idempotencyKey: string) => ({
          idempotencyKey,
          signal: cancellationSignal(),
          timeoutMs: CALL_TIMEOUT_MS,
        });
        if (foundAt !== null) {
          const { orders } = await database.erasureHolder.update({
            where: { id: holderId },
            data: { orders: { increment: 1 } },
          });
          await custodian.remove(face, call(`erase-again/${holderId}/${orders.toString()}`));
        }
        const { state } = await custodian.enrollmentState(face, call(`erased-state/${holderId}`));
        const isGone = state === 'deleted' || state === 'unknown';
        await database.$transaction(async (tx) => {
          const now = new Date();
          await tx.erasureHolder.update({
            where: { id: holderId },
            data: { askedAt: now, ...(isGone ? { foundAt: null } : { foundAt: foundAt ?? now }) },
          });
          if (isGone === (foundAt === null)) return;
          const outcome = isGone ? 'confirmed-by-holder' : 'found-at-holder';
          const { erasureId, integration } = holder;
          await journalErasure(tx, erasureId, { actor: ACTOR, outcome, reason: partnerId, integration });
        });
        return isGone ? 'gone' : 'held';
      } catch (error) {
        if (error instanceof PartnerError) return error.type;
        throw error;
      }
    },
  };
}
