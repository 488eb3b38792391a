import { isWithin, type Reach } from '../../contracts/staff';
import type { Transaction } from '../../prisma/database';
import type { Caller, StaffSession } from '../authentication/caller';
import { HttpProblem, notFound } from '../problem';

export type Member = { readonly memberId: string; readonly session: StaffSession; readonly reach: Reach };

/** The member of staff behind a request; {@link requireStaff} let nobody else through. */
export function memberOf({ staff }: Caller): Member {
  if (!staff) throw new Error('Whoever is no member of staff was let in to what is for staff.');
  return staff;
}

/** The partner that a request names. What is outside of a role's reach is answered like what does not exist. */
export async function partnerWithin(
  database: Transaction,
  caller: Caller,
  id: string,
): Promise<{ readonly id: string; readonly integration: string }> {
  const partner = await database.partner.findUnique({ where: { id }, select: { id: true, integration: true } });
  if (!partner || !isWithin(memberOf(caller).reach, partner)) throw notFound('partnerId');
  return partner;
}

/** Nobody decides about what is theirs. */
export const ownRight = (): HttpProblem =>
  new HttpProblem({ status: 403, type: 'own-right', title: 'Somebody else has to decide about your rights' });
