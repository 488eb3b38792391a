import { remember } from '../memory';
import type { Rule } from '../rule';

/** Nobody comes from one house of ours to another faster than this, and no car does. */
const FASTEST_MS = 2 * 60_000;

/** One face, or one plate, at two houses within a time in which nobody gets from one to the other. */
export const impossibleTravel: Rule = {
  kind: 'impossible-travel',
  severity: 'critical',
  quietMs: 3_600_000,
  reachMs: FASTEST_MS,
  step(memory, seen) {
    if (seen.type !== 'entry' || seen.kind !== 'opening' || !seen.opening) return undefined;
    const { method, who, houseId } = seen.opening;
    if (who === null || (method !== 'face' && method !== 'plate')) return undefined;
    const sighting = { atMs: seen.atMs, ref: seen.seq, value: houseId };
    const window = remember(memory, `${method}/${who}`, sighting, FASTEST_MS);
    const elsewhere = window.filter(({ value }) => value !== houseId);
    if (elsewhere.length === 0) return undefined;
    const evidence = [...elsewhere.map(({ ref }) => ref), seen.seq];
    return { scope: method, objectId: who, integration: seen.integration, evidence };
  },
};
