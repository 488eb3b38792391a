import type { Logger } from '../config/logger';
import { sql, type Database } from '../prisma/database';
import { isFast, secretChecks, slowHash } from '../vault/slow-hash';

/** The secrets that clients show us (R0.6, R4.4). */
export type ClientSecrets = {
  /** Whether it is known to be right, and costs nothing to {@link ClientSecrets.check}. */
  isRemembered(clientId: string, secret: string, client: { readonly secretHashes: readonly string[] } | null): boolean;
  /**
   * @param client as its row is now; `null`: there is none that could show a secret here
   * @returns the hash that the secret is kept by, or `null` when it is not good
   * @throws SecretChecksBusy when too many are looked at
   */
  check(
    clientId: string,
    secret: string,
    client: { readonly secretHashes: readonly string[] } | null,
  ): Promise<string | null>;
  /**
   * A secret that was found right, by its hash: one that a client uses may take the place of an older one. Whether it can
   * be written down changes nothing for the caller.
   */
  seen(clientId: string, stored: string): Promise<void>;
};

export function createClientSecrets(database: Database, log: Logger): ClientSecrets {
  /** Asks the database once for each secret: a client shows the same one again and again. */
  const written = new Set<string>();

  async function slowDown(clientId: string, secret: string, fast: string): Promise<string> {
    try {
      const slow = await slowHash(secret);
      await database.$executeRaw(sql`SELECT slow_down_client_secret(${clientId}, ${fast}, ${slow})`);
      return slow;
    } catch (error) {
      log.warn({ event: 'slow-hash', clientId, error }, 'a secret is still kept by a fast hash');
      return fast;
    }
  }

  return {
    isRemembered: (clientId, secret, client) => secretChecks.isRemembered(clientId, secret, client?.secretHashes ?? []),
    async check(clientId, secret, client) {
      const found = await secretChecks.matching(clientId, secret, client?.secretHashes ?? null);
      return found !== null && isFast(found) ? slowDown(clientId, secret, found) : found;
    },
    async seen(clientId, stored) {
      if (written.has(stored)) return;
      try {
        await database.$executeRaw(sql`
          INSERT INTO secret_sightings (client_id, secret_hash, integration)
          SELECT id, ${stored}, integration FROM oauth_clients WHERE id = ${clientId} AND ${stored} = ANY (secret_hashes)
          ON CONFLICT DO NOTHING`);
        written.add(stored);
      } catch (error) {
        log.warn({ event: 'secret-sighting', clientId, error }, 'that a secret is in use was not written down');
      }
    },
  };
}
