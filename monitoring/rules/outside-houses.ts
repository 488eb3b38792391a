import { readExchange } from '../../journal/exchanges';
import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';

const WITHIN_MS = 10 * 60_000;
const ALERT_FROM = 5;
/** More than the devices of a new building that we do not list yet: whoever asks for so many goes through ids. */
const SUSPEND_FROM_DISTINCT = 40;
const SUSPEND_MS = 3_600_000;

/**
 * A partner asks for what is not at its houses (R2.2): for what is another partner's the answer is 404. One device again
 * and again is most likely an entrance that we do not list yet, and a person looks. Of very many different ones none is:
 * who has that partner's credentials is kept out for an hour, or until a person lets them in again. The journal has no
 * id of what was asked for in vain, only what tells one from another (api/operation.ts, `names`).
 */
export const outsideHouses: Rule = {
  kind: 'outside-houses',
  severity: 'high',
  quietMs: 3_600_000,
  reachMs: WITHIN_MS,
  step(memory, seen) {
    if (seen.type !== 'entry' || seen.outcome !== '404') return undefined;
    const { actor, integration } = seen;
    const { asked } = readExchange(seen) ?? {};
    if (actor === null || integration === null || asked === undefined) return undefined;
    const window = remember(memory, actor, { atMs: seen.atMs, ref: seen.seq, value: asked }, WITHIN_MS);
    if (window.length < ALERT_FROM) return undefined;
    const isSearch = new Set(window.map(({ value }) => value)).size >= SUSPEND_FROM_DISTINCT;
    return {
      scope: 'client',
      objectId: actor,
      integration,
      evidence: refsOf(window),
      ...(isSearch && { suspend: { clientId: actor, forMs: SUSPEND_MS } }),
    };
  },
};
