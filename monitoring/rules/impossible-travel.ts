import type { Place } from '../observation';
import type { Rule } from '../rule';

/** Where a house stands is not always known: then nobody comes to another one faster than this, and no car does. */
const UNKNOWN_WAY_MS = 2 * 60_000;
/** Straight on, and faster than a car in a town is; from town to town as an airliner flies. */
const BY_CAR_KMH = 120;
const BY_AIR_KMH = 900;
const BY_AIR_FROM_KM = 200;
/** Beyond an hour the way of everybody would have to be remembered for half a day. */
const REACH_MS = 3_600_000;
const EARTH_KM = 6_371;

/** One face, or one plate, at two houses within a time in which nobody gets from one to the other. */
export const impossibleTravel: Rule = {
  kind: 'impossible-travel',
  severity: 'critical',
  quietMs: 3_600_000,
  reachMs: REACH_MS,
  step(memory, seen) {
    if (seen.type !== 'entry' || seen.kind !== 'opening' || !seen.opening) return undefined;
    const { method, who, houseId, place } = seen.opening;
    if (who === null || (method !== 'face' && method !== 'plate')) return undefined;
    const key = `${method}/${who}`;
    const [last] = memory.get(key) ?? [];
    // What was touched last comes last (monitoring/memory.ts).
    memory.delete(key);
    memory.set(key, [{ atMs: seen.atMs, ref: seen.seq, value: written(houseId, place) }]);
    if (last?.value === undefined) return undefined;
    const before = read(last.value);
    if (before.houseId === houseId || Math.abs(seen.atMs - last.atMs) >= leastMs(before.place, place)) return undefined;
    return { scope: method, objectId: who, integration: seen.integration, evidence: [last.ref, seen.seq] };
  },
};

const written = (houseId: string, place?: Place): string =>
  [houseId, ...(place ? [place.latitude, place.longitude] : [])].join(' ');

function read(value: string): { readonly houseId: string; readonly place?: Place } {
  const [houseId = '', latitude, longitude] = value.split(' ');
  if (latitude === undefined || longitude === undefined) return { houseId };
  return { houseId, place: { latitude: Number(latitude), longitude: Number(longitude) } };
}

function leastMs(from: Place | undefined, to: Place | undefined): number {
  if (!from || !to) return UNKNOWN_WAY_MS;
  const km = distanceKm(from, to);
  return (km / (km < BY_AIR_FROM_KM ? BY_CAR_KMH : BY_AIR_KMH)) * 3_600_000;
}

/** Along a great circle (haversine). */
export function distanceKm(from: Place, to: Place): number {
  const radians = (degrees: number): number => (degrees * Math.PI) / 180;
  const half = (a: number, b: number): number => Math.sin(radians(b - a) / 2) ** 2;
  const across = Math.cos(radians(from.latitude)) * Math.cos(radians(to.latitude));
  const chord = half(from.latitude, to.latitude) + across * half(from.longitude, to.longitude);
  return 2 * EARTH_KM * Math.asin(Math.min(1, Math.sqrt(chord)));
}
