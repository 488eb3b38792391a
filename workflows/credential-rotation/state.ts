import { CREDENTIAL_LIFE_MS, type AlarmDay } from '../../contracts/credentials';

/** Earliest first. */
export const ALARM_DAYS: readonly AlarmDay[] = [5, 3, 1, 0];
/** A step has so long before the first alarm about it. */
export const ALARMS_AFTER_MS = 60_000;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Old and new are both valid for so long at most. */
export const OVERLAP_MS = 24 * HOUR_MS;
/** Rotation begins so long before the end at the latest: what goes wrong is tried again before the first alarm. */
const BEGIN_BEFORE_MS = 7 * DAY_MS;
/** Partners do not rotate together: each begins at its own moment of this span. */
const SPREAD_MS = 3 * DAY_MS;

const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 6 * HOUR_MS;
const LONGEST_URGENT_PAUSE_MS = 5 * 60_000;

export const endOf = (issuedAt: string): number => Date.parse(issuedAt) + CREDENTIAL_LIFE_MS;

/** @returns milliseconds, at least 0, until the successor of a credential is issued; the same id, the same moment */
export function msUntilRotation(issuedAt: string, credentialId: string, nowMs: number): number {
  const beginsAtMs = endOf(issuedAt) - BEGIN_BEFORE_MS - SPREAD_MS * share(credentialId);
  return Math.max(0, Math.round(beginsAtMs - nowMs));
}

/** FNV-1a over UTF-16 units, finished by murmur3's mixer, as a share of 1: ids that differ in one letter lie apart. */
function share(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}

const alarmAtMs = (endsAtMs: number, day: AlarmDay): number => endsAtMs - day * DAY_MS;

/** @returns milliseconds until an alarm's moment; 0 or less: it has come */
export const msUntilAlarm = (endsAtMs: number, day: AlarmDay, nowMs: number): number =>
  alarmAtMs(endsAtMs, day) - nowMs;

/** Alarms whose moment has come, earliest first. */
export const alarmsDue = (endsAtMs: number, nowMs: number): AlarmDay[] =>
  ALARM_DAYS.filter((day) => alarmAtMs(endsAtMs, day) <= nowMs);

/**
 * @param tries how often the step has failed, from 1
 * @returns milliseconds until it is tried again; never beyond the next alarm, so that this sounds in time
 */
export function pauseMs(tries: number, isUrgent: boolean, endsAtMs: number, nowMs: number): number {
  const longest = isUrgent ? LONGEST_URGENT_PAUSE_MS : LONGEST_PAUSE_MS;
  const pause = Math.min(longest, FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 20));
  const alarms = ALARM_DAYS.map((day) => alarmAtMs(endsAtMs, day) - nowMs).filter((ms) => ms > 0);
  return Math.min(pause, ...alarms);
}
