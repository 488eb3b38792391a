import type { Logger } from '../config/logger';
import { sql, type Database } from '../prisma/database';
import { hashSecret } from '../vault/secret-hash';

/** Remembers which secrets a client has shown: one that it uses may take the place of an older one (R0.6). */
export type SecretSightings = {
  /** A secret that was found right. Whether it can be written down changes nothing for the caller. */
  seen(clientId: string, secret: string): Promise<void>;
};

/** Asks the database once for each secret: a client shows the same one again and again. */
export function createSecretSightings(database: Database, log: Logger): SecretSightings {
  const written = new Set<string>();
  return {
    async seen(clientId, secret) {
      const sha256 = hashSecret(secret);
      if (written.has(sha256)) return;
      try {
        await database.$executeRaw(sql`
          INSERT INTO secret_sightings (client_id, sha256, integration)
          SELECT id, ${sha256}, integration FROM oauth_clients WHERE id = ${clientId}
          ON CONFLICT DO NOTHING`);
        written.add(sha256);
      } catch (error) {
        log.warn({ event: 'secret-sighting', clientId, error }, 'that a secret is in use was not written down');
      }
    },
  };
}
