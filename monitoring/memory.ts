/** One thing that a rule has seen and may need again: when, which entry, and a word of the rule's own. */
export type Sighting = { readonly atMs: number; readonly ref: string; readonly value?: string };

/** What a rule remembers, by whatever it counts; what was touched last comes last. */
export type Memory = Map<string, readonly Sighting[]>;
/** The same as it is written down between two turns. */
export type WrittenMemory = Readonly<Record<string, readonly Sighting[]>>;

/** Bounds, so that a flood fills neither the row nor an alert. */
const MOST_SIGHTINGS = 60;
const MOST_KEYS = 2_000;

/** Adds a sighting under a key and forgets what is older than the window before it. @returns what is in the window now */
export function remember(memory: Memory, key: string, sighting: Sighting, withinMs: number): readonly Sighting[] {
  const window = [...(memory.get(key) ?? []), sighting]
    .filter(({ atMs }) => atMs > sighting.atMs - withinMs)
    .slice(-MOST_SIGHTINGS);
  memory.delete(key);
  memory.set(key, window);
  return window;
}

/**
 * Drops what no window reaches any more, and of too many keys those that were touched longest ago.
 *
 * @returns what is kept, and how many keys had to go although a window reached them
 */
export function written(
  memory: Memory,
  beforeMs: number,
): { readonly kept: WrittenMemory; readonly forgotten: number } {
  const live = [...memory].filter(([, sightings]) => (sightings.at(-1)?.atMs ?? 0) > beforeMs);
  return { kept: Object.fromEntries(live.slice(-MOST_KEYS)), forgotten: Math.max(0, live.length - MOST_KEYS) };
}

export const refsOf = (sightings: readonly Sighting[]): string[] => sightings.map(({ ref }) => ref);
