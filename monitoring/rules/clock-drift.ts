import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';

const WITHIN_MS = 10 * 60_000;
/** Of what is ours; signatures, not-after times and the order of evidence rest on it. */
const OURS_AT_MOST_MS = 2_000;
const REFUSED = 3;

/** Clocks go apart: one of ours from the database's, or a partner's so far that its signatures are no longer taken. */
export const clockDrift: Rule = {
  kind: 'clock-drift',
  severity: 'medium',
  quietMs: 6 * 3_600_000,
  reachMs: WITHIN_MS,
  step(memory, seen) {
    if (seen.type === 'clock') {
      if (Math.abs(seen.skewMs) <= OURS_AT_MOST_MS) return undefined;
      return { scope: 'own', objectId: seen.of, integration: null, evidence: [] };
    }
    if (seen.type !== 'entry' || seen.kind !== 'refusal' || seen.outcome !== 'signature-time' || seen.actor === null) {
      return undefined;
    }
    const window = remember(memory, seen.actor, { atMs: seen.atMs, ref: seen.seq }, WITHIN_MS);
    if (window.length < REFUSED) return undefined;
    const { actor: objectId, integration } = seen;
    return { scope: 'partner', objectId, integration, evidence: refsOf(window) };
  },
};
