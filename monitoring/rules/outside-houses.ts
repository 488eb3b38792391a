import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';

const WITHIN_MS = 10 * 60_000;
const ALERT_FROM = 5;

/** What names a device, a resident's token or an opening: for what is another partner's the answer is 404 (R2.2). */
const NAMES_SOMETHING = new Set([
  'openDoorByFace',
  'openBarrierByPlate',
  'relayResidentRequest',
  'getPartnerOpening',
  'reportKeyOpening',
  'reportFobOpening',
]);

/**
 * A partner asks for what is not at its houses. The journal keeps no id of what was not found, so that one device of a
 * new entrance, which we do not list yet, looks like somebody who goes through ids: a person looks, nobody is kept out.
 */
export const outsideHouses: Rule = {
  kind: 'outside-houses',
  severity: 'high',
  quietMs: 3_600_000,
  reachMs: WITHIN_MS,
  step(memory, seen) {
    if (seen.type !== 'entry' || seen.kind !== 'exchange' || seen.outcome !== '404') return undefined;
    const { actor, integration } = seen;
    if (actor === null || integration === null || !NAMES_SOMETHING.has(seen.reason ?? '')) return undefined;
    const window = remember(memory, actor, { atMs: seen.atMs, ref: seen.seq }, WITHIN_MS);
    if (window.length < ALERT_FROM) return undefined;
    return { scope: 'client', objectId: actor, integration, evidence: refsOf(window) };
  },
};
