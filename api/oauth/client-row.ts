import type { Database } from '../../prisma/database';
import type { OAuthClient } from '../../prisma/generated/client';
import { CLIENT_AUTH_METHODS } from './metadata';
import { SCOPES } from './resources';

/** What a client id may be made of (RFC 6749, appendix A.1). PostgreSQL would fail on a NUL. */
const CLIENT_ID_FORMAT = /^[\x20-\x7e]{1,255}$/;

export const isClientId = (id: unknown): id is string => typeof id === 'string' && CLIENT_ID_FORMAT.test(id);

/** One that is suspended is switched off for as long (activities/security-monitoring.ts). */
export const isSwitchedOn = ({ active, suspendedUntil }: Pick<OAuthClient, 'active' | 'suspendedUntil'>): boolean =>
  active && !(suspendedUntil !== null && suspendedUntil.getTime() > Date.now());

/** @returns the client's row as it is now, switched off or not; null for an id that nobody has or can have */
export async function findClientRow(database: Database, id: string): Promise<OAuthClient | null> {
  const row = isClientId(id) ? await database.oAuthClient.findUnique({ where: { id } }) : null;
  return row && { ...row, active: isSwitchedOn(row) };
}

/** What the client may ask for: what it was registered for, as far as its audience knows it. */
export function registeredScopes({ audience, scopes }: Pick<OAuthClient, 'audience' | 'scopes'>): string[] {
  const known = (SCOPES as Partial<Record<string, readonly string[]>>)[audience] ?? [];
  return scopes.filter((scope) => known.includes(scope));
}

/** Whether the client is one of OAuth's; those of profile `basic-signed` have neither tokens nor use for them. */
export const usesTokens = ({ authMethod }: Pick<OAuthClient, 'authMethod'>): boolean =>
  CLIENT_AUTH_METHODS.some((method) => method === authMethod);
