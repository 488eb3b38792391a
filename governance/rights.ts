import type { Transaction } from '../prisma/database';

/** One right of one holder: a person's role, or a scope of a partner's client (R4.3, R4.7). */
export type HeldRight = {
  readonly kind: 'member' | 'client';
  /** A member's id, or a client's. */
  readonly holder: string;
  readonly granted: string;
};

/** Decisions and the end of a campaign take turns. */
export async function lockReview(tx: Transaction, reviewId: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`access-review/${reviewId}`}, 0))`;
}

/** Every right of people and of partners' clients that holds at this moment. */
export async function rightsInForce(tx: Transaction): Promise<HeldRight[]> {
  const members = await tx.staffMember.findMany({
    where: { status: 'active' },
    select: { id: true, roles: true, withdrawnRoles: true },
  });
  const clients = await tx.oAuthClient.findMany({
    where: { partnerId: { not: null }, active: true },
    select: { id: true, scopes: true },
  });
  return [
    ...members.flatMap(({ id: holder, roles, withdrawnRoles }) =>
      roles
        .filter((role) => !withdrawnRoles.includes(role))
        .map((granted): HeldRight => ({ kind: 'member', holder, granted })),
    ),
    ...clients.flatMap(({ id: holder, scopes }) =>
      scopes.map((granted): HeldRight => ({ kind: 'client', holder, granted })),
    ),
  ];
}

/**
 * Ends a right in this transaction: a role with the next request in any session, whatever the identity provider says of
 * the person later; a scope together with every token of the client. Harmless to repeat.
 */
export async function takeAwayRight(tx: Transaction, { kind, holder, granted }: HeldRight): Promise<void> {
  if (kind === 'client') {
    await tx.$executeRaw`SELECT withdraw_client_scope(${holder}, ${granted})`;
    return;
  }
  // A list that was never written is NULL, which `has` says nothing about.
  await tx.$executeRaw`
    UPDATE staff_members SET withdrawn_roles = array_append(coalesce(withdrawn_roles, '{}'), ${granted})
    WHERE id = ${holder}::uuid AND NOT ${granted} = ANY (coalesce(withdrawn_roles, '{}'))`;
}

/** Gives back what a review took away. The database lets no client have a scope that none did. */
export async function giveBackRight(tx: Transaction, { kind, holder, granted }: HeldRight): Promise<void> {
  if (kind === 'client') {
    await tx.$executeRaw`SELECT restore_client_scope(${holder}, ${granted})`;
    return;
  }
  await tx.$queryRaw`SELECT 1 FROM staff_members WHERE id = ${holder}::uuid FOR UPDATE`;
  const member = await tx.staffMember.findUnique({ where: { id: holder }, select: { withdrawnRoles: true } });
  if (!member) return;
  const withdrawnRoles = member.withdrawnRoles.filter((role) => role !== granted);
  await tx.staffMember.update({ where: { id: holder }, data: { withdrawnRoles } });
}
