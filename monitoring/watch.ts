import type { Severity } from '../contracts/security-alerts';
import { written, type WrittenMemory } from './memory';
import type { Observation } from './observation';
import type { Finding, Rule } from './rule';
import { clockDrift } from './rules/clock-drift';
import { credentialStuffing } from './rules/credential-stuffing';
import { guessing } from './rules/guessing';
import { impossibleTravel } from './rules/impossible-travel';
import { journalHead } from './rules/journal-head';
import { offHoursExport } from './rules/off-hours-export';
import { outsideHouses } from './rules/outside-houses';
import { replay } from './rules/replay';

export const RULES: readonly Rule[] = [
  guessing,
  replay,
  credentialStuffing,
  impossibleTravel,
  offHoursExport,
  outsideHouses,
  clockDrift,
  journalHead,
];

export type Memories = Readonly<Record<string, WrittenMemory>>;
export type Found = Finding & {
  readonly kind: string;
  readonly severity: Severity;
  readonly quietMs: number;
  readonly times: number;
};

/**
 * Shows every rule what was seen. What is found about one thing in one turn is one finding, the newest, which says how
 * often; a second turn with the rest of a stream finds what one turn with all of it would have, as long as no rule has to
 * forget for want of room.
 */
export function watch(
  memories: Memories,
  observations: readonly Observation[],
): {
  readonly memories: Memories;
  readonly found: readonly Found[];
  readonly forgotten: readonly { readonly kind: string; readonly count: number }[];
} {
  const nowMs = timeOf(observations);
  const after: Record<string, WrittenMemory> = {};
  const found = new Map<string, Found>();
  const forgotten: { kind: string; count: number }[] = [];
  for (const rule of RULES) {
    const { kind, severity, quietMs } = rule;
    const memory = new Map(Object.entries(memories[kind] ?? {}));
    for (const seen of observations) {
      const finding = rule.step(memory, seen);
      if (!finding) continue;
      const key = JSON.stringify([kind, finding.scope, finding.objectId]);
      const earlier = found.get(key);
      const suspend = finding.suspend ?? earlier?.suspend;
      const times = (earlier?.times ?? 0) + 1;
      found.set(key, { ...finding, ...(suspend && { suspend }), kind, severity, quietMs, times });
    }
    const { kept, forgotten: count } = written(memory, nowMs - rule.reachMs);
    after[kind] = kept;
    if (count > 0) forgotten.push({ kind, count });
  }
  return { memories: after, found: [...found.values()], forgotten };
}

/**
 * How far the stream has come, by its own times. Clocks, heads and alarms are seen as they are at this moment: a stream
 * that is behind must not be forgotten by them. Without an entry nothing is.
 */
const timeOf = (observations: readonly Observation[]): number =>
  Math.max(
    -Infinity,
    ...observations.map((seen) => (seen.type === 'entry' && seen.kind !== 'alarm' ? seen.atMs : -Infinity)),
  );
