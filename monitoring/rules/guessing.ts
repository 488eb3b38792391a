import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';

const MINUTE = 60_000;
const DENIED_AT_ONE_DEVICE = { times: 8, withinMs: 5 * MINUTE };
const TOKENS_BY_ONE_PARTNER = { times: 10, withinMs: 10 * MINUTE };

/** Somebody tries faces, plates or tokens until one fits (R2.6): at one device, or through one partner. */
export const guessing: Rule = {
  kind: 'guessing',
  severity: 'high',
  quietMs: 30 * MINUTE,
  reachMs: 10 * MINUTE,
  step(memory, seen) {
    if (seen.type !== 'entry') return undefined;
    const tried = triedBy(seen);
    if (!tried) return undefined;
    const { scope, objectId, times, withinMs } = tried;
    const window = remember(memory, `${scope}/${objectId}`, { atMs: seen.atMs, ref: seen.seq }, withinMs);
    if (window.length < times) return undefined;
    const evidence = refsOf(window);
    return { scope, objectId, integration: seen.integration, evidence };
  },
};

function triedBy(seen: Parameters<Rule['step']>[1] & { type: 'entry' }) {
  const isNobody = seen.kind === 'opening' && seen.outcome === 'denied' && seen.reason === 'identity-unknown';
  if (isNobody && seen.opening) {
    return { scope: 'device', objectId: seen.opening.accessPointId, ...DENIED_AT_ONE_DEVICE };
  }
  if (seen.kind === 'plugin-token-check' && seen.outcome === 'not-valid' && seen.actor !== null) {
    return { scope: 'client', objectId: seen.actor, ...TOKENS_BY_ONE_PARTNER };
  }
  return null;
}
