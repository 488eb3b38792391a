import { randomUUID } from 'node:crypto';
import type { ApiSettings } from '../../config/environment';
import { parseHeldRole, SESSION_LIFE_S } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database, Transaction } from '../../prisma/database';
import type { SignedIn } from './identity-provider';
import { newToken, tokenSha256 } from './session-token';

export type SignInRefusal = 'second-factor-missing' | 'no-role' | 'disabled';
type SignInSettings = Pick<ApiSettings, 'STAFF_ROLES' | 'STAFF_MFA_ACR' | 'STAFF_MFA_AMR'>;

/** The actor of what a member of staff does, as the journal names it. */
export const staffActor = (memberId: string): string => `staff/${memberId}`;

/**
 * Begins a session for who signed in, or says why not; both are journalled. The session that the browser had ends: a
 * token from before the sign-in must be worth nothing after it.
 *
 * @param earlierToken of the session that the browser had
 * @param boundTo what the session of this token is bound to
 */
export async function beginSession(
  database: Database,
  settings: SignInSettings,
  signedIn: SignedIn,
  earlierToken: string | undefined,
  boundTo: (token: string) => string,
): Promise<{ token: string; expiresAt: Date } | { refusal: SignInRefusal }> {
  return database.$transaction(async (tx) => {
    const member = await memberOf(tx, signedIn);
    const roles = rolesOf(settings, signedIn.groups);
    const inForce = roles.filter((role) => !member.withdrawnRoles.includes(role));
    const refusal = refusalOf(settings, signedIn, member.status, inForce);
    const entry = {
      kind: 'staff-sign-in',
      integration: null,
      objectId: member.id,
      actor: staffActor(member.id),
    } as const;
    if (refusal !== null) {
      await appendJournal(tx, { ...entry, outcome: 'refused', reason: refusal });
      return { refusal };
    }
    if (earlierToken !== undefined) {
      const earlier = { tokenSha256: tokenSha256(earlierToken), endedAt: null };
      await tx.staffSession.updateMany({ where: earlier, data: { endedAt: new Date() } });
    }
    await tx.staffMember.update({ where: { id: member.id }, data: { roles, lastSignInAt: new Date() } });
    const token = newToken();
    const { authenticatedAt, acr, amr } = signedIn;
    const expiresAt = new Date(authenticatedAt.getTime() + SESSION_LIFE_S * 1_000);
    const proof = { authenticatedAt, acr, amr: [...amr] };
    await tx.staffSession.create({
      data: {
        ...{ id: randomUUID(), memberId: member.id, tokenSha256: tokenSha256(token), boundTo: boundTo(token) },
        ...{ ...proof, expiresAt },
      },
    });
    await appendJournal(tx, { ...entry, outcome: 'signed-in' });
    return { token, expiresAt };
  });
}

/** Whoever the provider vouches for has a row, locked here: disabling somebody and signing them in take turns. */
async function memberOf(tx: Transaction, { issuer, subject }: SignedIn) {
  const id = randomUUID();
  await tx.staffMember.createMany({ data: [{ id, issuer, subject }], skipDuplicates: true });
  await tx.$queryRaw`SELECT 1 FROM staff_members WHERE issuer = ${issuer} AND subject = ${subject} FOR UPDATE`;
  return tx.staffMember.findUniqueOrThrow({ where: { issuer_subject: { issuer, subject } } });
}

/** Roles that the configuration gives to the values of the claim; a value that it does not know gives none. */
function rolesOf({ STAFF_ROLES }: SignInSettings, groups: readonly string[]): string[] {
  const given = groups.flatMap((group) => (Object.hasOwn(STAFF_ROLES, group) ? (STAFF_ROLES[group] ?? []) : []));
  return [...new Set(given)].filter((role) => parseHeldRole(role) !== null).sort();
}

function refusalOf(
  settings: SignInSettings,
  signedIn: SignedIn,
  status: string,
  roles: readonly string[],
): SignInRefusal | null {
  if (!isSecondFactorVerified(settings, signedIn)) return 'second-factor-missing';
  if (status !== 'active') return 'disabled';
  return roles.length === 0 ? 'no-role' : null;
}

/** R4.9: what the configuration wants of `acr` and of `amr`, both; a claim that is missing says no. */
export function isSecondFactorVerified(
  { STAFF_MFA_ACR, STAFF_MFA_AMR }: Pick<SignInSettings, 'STAFF_MFA_ACR' | 'STAFF_MFA_AMR'>,
  { acr, amr }: Pick<SignedIn, 'acr' | 'amr'>,
): boolean {
  if (STAFF_MFA_ACR.length + STAFF_MFA_AMR.length === 0) return false;
  const acrIsGood = STAFF_MFA_ACR.length === 0 || (acr !== null && STAFF_MFA_ACR.includes(acr));
  return acrIsGood && STAFF_MFA_AMR.every((method) => amr.includes(method));
}
