import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { EVENT_AGE_S, IDENTITY_PROVIDER } from './identity-provider';

/** `left`: the account is no longer anybody's. `signed-out`: it goes on, its sessions do not. `other`: no matter of ours. */
export type IdentityEventKind = 'left' | 'signed-out' | 'other';

export type IdentityEvent = {
  readonly issuer: string;
  readonly eventId: string;
  readonly kind: IdentityEventKind;
  /** The account, by the provider's opaque subject. */
  readonly subject: string | null;
};

/** Remembered for longer than a token is believed. */
const REMEMBERED_MS = 2 * EVENT_AGE_S * 1_000;

/**
 * What the identity provider says of an account takes effect here in one transaction (R4.3): who has left loses every
 * session, every role and the right to come back; rights under review are decided with it. A repeat changes nothing, so
 * that an event from before somebody's return does not turn them out again.
 */
export async function takeIdentityEvent(database: Database, event: IdentityEvent): Promise<void> {
  const { issuer, eventId, kind, subject } = event;
  await database.$transaction(async (tx) => {
    const member =
      subject === null
        ? null
        : await tx.staffMember.findUnique({ where: { issuer_subject: { issuer, subject } }, select: { id: true } });
    const expiresAt = new Date(Date.now() + REMEMBERED_MS);
    const { count } = await tx.identityEvent.createMany({
      data: [{ issuer, eventId, kind, memberId: member?.id ?? null, expiresAt }],
      skipDuplicates: true,
    });
    if (count === 0 || !member || kind === 'other') return;
    const { id } = member;
    const entry = { kind: 'staff-member', integration: null, objectId: id, actor: IDENTITY_PROVIDER } as const;
    if (kind === 'signed-out') {
      await tx.staffSession.updateMany({ where: { memberId: id, endedAt: null }, data: { endedAt: new Date() } });
      await appendJournal(tx, { ...entry, outcome: 'signed-out' });
      return;
    }
    // A sign-in that is under way holds this row (members.ts): one of the two sees the other.
    await tx.$queryRaw`SELECT 1 FROM staff_members WHERE id = ${id}::uuid FOR UPDATE`;
    const { roles, withdrawnRoles } = await tx.staffMember.findUniqueOrThrow({ where: { id } });
    // Sessions end by the trigger of the table.
    await tx.staffMember.update({
      where: { id },
      data: { status: 'disabled', withdrawnRoles: [...new Set([...withdrawnRoles, ...roles])] },
    });
    await tx.accessReviewItem.updateMany({
      where: { kind: 'member', holder: id, decision: null },
      data: { decision: 'revoked', decidedBy: entry.actor, decidedAt: new Date() },
    });
    await appendJournal(tx, { ...entry, outcome: 'disabled', reason: 'left' });
  });
}
