import { PLUGIN_TOKEN_GUESSES } from '../contracts/plugin-sessions';
import { hashSecret } from '../vault/secret-hash';
import { openCounters } from './counters';

export type PluginTokenGuesses = {
  /** Seconds until this partner may ask about this client id again; 0: it may now. */
  blockedForS(partnerId: string, clientId: string): Promise<number>;
  /** Counts a check that was refused: a partner that guesses is no longer answered (R2.6). */
  record(partnerId: string, clientId: string): Promise<void>;
  readonly close: () => Promise<void>;
};

export function createPluginTokenGuesses(databaseUrl: string): PluginTokenGuesses {
  const counters = openCounters(databaseUrl, 2);
  const limit = (keyPrefix: string, points: number) =>
    counters.limiter({
      keyPrefix,
      points,
      duration: PLUGIN_TOKEN_GUESSES.withinS,
      blockDuration: PLUGIN_TOKEN_GUESSES.forS,
    });
  const forClientId = limit('plugin-token', PLUGIN_TOKEN_GUESSES.forClientId);
  const byPartner = limit('plugin-token-partner', PLUGIN_TOKEN_GUESSES.byPartner);
  const limiters = (partnerId: string, clientId: string) =>
    [
      // Hashed: whatever the partner sent has one length and cannot be read.
      [forClientId, hashSecret(JSON.stringify([partnerId, clientId.toLowerCase()]))],
      [byPartner, partnerId],
    ] as const;
  return {
    async blockedForS(partnerId, clientId) {
      const waits = limiters(partnerId, clientId).map(async ([limiter, key]) => {
        const state = await limiter.get(key);
        return state !== null && state.remainingPoints <= 0 ? Math.max(1, Math.ceil(state.msBeforeNext / 1_000)) : 0;
      });
      return Math.max(...(await Promise.all(waits)));
    },
    async record(partnerId, clientId) {
      for (const [limiter, key] of limiters(partnerId, clientId)) {
        await limiter.consume(key).catch((error: unknown) => {
          if (error instanceof Error) throw error; // anything else says that the limit is reached, and is written down
        });
      }
    },
    close: counters.close,
  };
}
