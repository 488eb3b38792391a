import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';
import { readRefusals, STRANGER } from '../../journal/refusals';

const WITHIN_MS = 10 * 60_000;
/** One client with an old secret tries its own name again and again; who tries many names does not know whose it is. */
const NAMES = 5;
const REFUSALS = 200;

/** One network tries names and secrets at our doors (R2.6). */
export const credentialStuffing: Rule = {
  kind: 'credential-stuffing',
  severity: 'high',
  quietMs: 3_600_000,
  reachMs: WITHIN_MS,
  step(memory, seen) {
    if (seen.type !== 'entry' || seen.objectId === null) return undefined;
    const refused = readRefusals(seen);
    // Beyond a limit nobody looks at what is brought, so it is not known what it was.
    const isTurnedAway = refused?.code === 'too-many' && seen.actor === STRANGER;
    if (refused?.code !== 'credentials' && !isTurnedAway) return undefined;
    const sighting = {
      atMs: seen.atMs,
      ref: seen.seq,
      value: `${refused.times.toString()} ${refused.names.join()}`,
    };
    const window = remember(memory, seen.objectId, sighting, WITHIN_MS);
    const parts = window.map(({ value = '' }) => value.split(' '));
    const times = parts.reduce((sum, [count = '0']) => sum + Number(count), 0);
    const names = new Set(parts.flatMap(([, list = '']) => (list === '' ? [] : list.split(',')))).size;
    if (names < NAMES && times < REFUSALS) return undefined;
    const finding = { scope: 'network', objectId: seen.objectId, integration: null, evidence: refsOf(window) };
    return finding;
  },
};
