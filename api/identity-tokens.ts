import type { Database } from '../prisma/database';

/** Who was identified at the token endpoint, for one opening of one device (variant A, R1.6, R1.9). */
export type Identity = {
  readonly accessPointId: string;
  readonly residentId: string;
  readonly method: 'face' | 'plate';
};

/** Seconds that a token of variant A lives: enough for the partner to come back with it. */
export const IDENTITY_TOKEN_LIFE_S = 60;

/** @param id the hidden id of the token (api/oauth/hidden-id.ts) */
export async function rememberIdentity(
  database: Database,
  id: string,
  identity: Identity & { clientId: string; partnerId: string; integration: string },
): Promise<void> {
  const expiresAt = new Date(Date.now() + IDENTITY_TOKEN_LIFE_S * 1_000);
  await database.identityToken.create({ data: { id, ...identity, expiresAt } });
}

/**
 * Uses the token up for this opening. A repeat of the same opening may have it again; any other finds it used.
 *
 * @returns the resident; null when the token was used or is over
 */
export async function useIdentity(database: Database, id: string, openingId: string): Promise<string | null> {
  const { count } = await database.identityToken.updateMany({
    where: { id, expiresAt: { gt: new Date() }, OR: [{ openingId: null }, { openingId }] },
    data: { openingId },
  });
  if (count === 0) return null;
  const { residentId } = await database.identityToken.findUniqueOrThrow({ where: { id } });
  return residentId;
}
