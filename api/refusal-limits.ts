import type { Response } from 'express';
import type { BorneRefusals } from '../contracts/lockout';
import { knownIn } from './authentication/caller';
import { openCounters } from './counters';
import { hiddenWords } from './hidden-words';
import { networkOf } from './network';
import { HttpProblem } from './problem';
import { noteRefusalOf, refusalIn } from './refusals';
import { consume, tooMany } from './request-limits';

export type RefusalLimits = {
  /**
   * Stands before whatever is slow, such as the hash of a secret.
   *
   * @throws HttpProblem 429 with `Retry-After` when too many were refused under the name that was tried, or in its network
   */
  readonly assertFew: (res: Response) => Promise<void>;
  /** Counts the request as refused, once. @returns what is answered in place of the refusal; `null`: the refusal itself */
  readonly refused: (res: Response) => Promise<HttpProblem | null>;
  /** Runs an authentication, and counts it when it refuses. */
  readonly counted: (res: Response, authenticate: () => Promise<void>) => Promise<void>;
  readonly close: () => Promise<void>;
};

const WITHIN_S = 60;
const PREFIXES = { ofName: 'refusals', ofNetwork: 'refusals-of-network' } as const;

/** Says under which name somebody tries, known or not: what is refused from here on counts for it. */
export function noteTried(res: Response, name: string): void {
  (res.locals as { tried?: string }).tried = name;
}

/**
 * Bounds what it costs us, and the journal, when somebody is refused again and again under a name: their tries count
 * where they come from, so that nobody shuts out who has that name and comes from elsewhere. Who is right in what costs
 * nothing to look at, such as a secret that was right a moment ago, is let in whatever was counted. Counted in
 * PostgreSQL, so that it holds over several API processes (docs/adr/0093).
 *
 * @param deps.key hides names and networks in the counters' keys
 */
export function createRefusalLimits(deps: { databaseUrl: string; key: Buffer; borne: BorneRefusals }): RefusalLimits {
  const { key, borne } = deps;
  const { pool, limiter, close } = openCounters(deps.databaseUrl, 2);
  const counter = (scope: keyof BorneRefusals) =>
    limiter({
      keyPrefix: PREFIXES[scope],
      points: borne[scope],
      duration: WITHIN_S,
      // What is answered with 429 anyway costs the database nothing.
      inMemoryBlockOnConsumed: borne[scope] + 1,
    });
  const counters = { ofName: counter('ofName'), ofNetwork: counter('ofNetwork') };

  function placesOf(res: Response, name: string): Readonly<Record<keyof BorneRefusals, string>> {
    const network = networkOf(res.req.ip);
    return { ofName: hiddenWords(key, network, name), ofNetwork: hiddenWords(key, network) };
  }

  /** Counted for what it was, and not once more as a request of a caller's. */
  function turnAway(res: Response, retryAfterMs: number): HttpProblem {
    const known = knownIn(res);
    const client = known ? { id: known.clientId, integration: known.integration ?? null } : refusalIn(res)?.client;
    noteRefusalOf(res, { code: 'too-many', ...(client && { client }) });
    return tooMany(retryAfterMs);
  }

  async function refused(res: Response): Promise<HttpProblem | null> {
    const { tried } = res.locals as { tried?: string };
    if (tried === undefined) return null;
    delete res.locals['tried'];
    const places = placesOf(res, tried);
    // One name that is tried for ever is its own matter, and closes its network to no other.
    const ofName = await consume(counters.ofName, places.ofName);
    const { isOver, resetMs } = ofName.isOver ? ofName : await consume(counters.ofNetwork, places.ofNetwork);
    return isOver ? turnAway(res, resetMs) : null;
  }

  return {
    async assertFew(res) {
      const { tried } = res.locals as { tried?: string };
      if (tried === undefined) return;
      const places = placesOf(res, tried);
      const scopes = ['ofName', 'ofNetwork'] as const;
      const { rows } = await pool.query<{ until: string | null }>({
        name: 'refusals-borne',
        text: `SELECT max(expire) AS until
                 FROM rate_limits JOIN unnest($1::text[], $2::int[]) AS bound (key, borne) USING (key)
                WHERE points >= borne AND expire > $3`,
        values: [
          scopes.map((scope) => `${PREFIXES[scope]}:${places[scope]}`),
          scopes.map((scope) => borne[scope]),
          Date.now(),
        ],
      });
      const until = Number(rows[0]?.until ?? 0);
      if (until > 0) throw turnAway(res, until - Date.now());
    },
    refused,
    async counted(res, authenticate) {
      try {
        await authenticate();
      } catch (error) {
        const isRefusal = error instanceof HttpProblem && [401, 403].includes(error.problem.status);
        const instead = isRefusal ? await refused(res) : null;
        if (instead) throw instead;
        throw error;
      }
    },
    close,
  };
}
