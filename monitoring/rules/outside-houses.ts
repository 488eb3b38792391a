import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';

const WITHIN_MS = 10 * 60_000;
const ALERT_FROM = 5;
/** Somebody looks through ids: no device that a partner listed a moment ago is gone so often. */
const SUSPEND_FROM = 25;
const SUSPEND_MS = 3_600_000;

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
 * A partner asks for what is not at its houses. It has proved who it is, so that nobody else can have it kept out: past
 * a bound it is suspended until a person has looked, or an hour has passed.
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
    const suspend = window.length >= SUSPEND_FROM && { suspend: { clientId: actor, forMs: SUSPEND_MS } };
    return { scope: 'client', objectId: actor, integration, evidence: refsOf(window), ...suspend };
  },
};
