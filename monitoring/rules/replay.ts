import { remember } from '../memory';
import type { Rule } from '../rule';

/**
 * A signed message came a second time (R2.7). Its nonce kept it out; that somebody has the message is what is to be
 * looked at. Nobody is suspended for it: whoever copies messages would then decide who is kept out.
 */
export const replay: Rule = {
  kind: 'replay',
  severity: 'high',
  quietMs: 3_600_000,
  reachMs: 3_600_000,
  step(memory, seen) {
    if (seen.type !== 'entry' || seen.kind !== 'refusal' || seen.outcome !== 'replayed' || seen.actor === null) {
      return undefined;
    }
    const window = remember(memory, seen.actor, { atMs: seen.atMs, ref: seen.seq }, 3_600_000);
    const evidence = window.map(({ ref }) => ref);
    return { scope: 'client', objectId: seen.actor, integration: seen.integration, evidence };
  },
};
