import type { VehicleStanding } from '../../contracts/vehicle-access';

/** What nobody told us of, for example because the API died before it could, is found after this long, milliseconds. */
const CHECK_EVERY_MS = 3_600_000;
/** Pause after the partner refused, milliseconds; what it refused is ordered again until it is confirmed. */
const AFTER_REFUSAL_MS = 10 * 60_000;

/** The execution begins before its vehicle is written down. One that is not there after this long will not come. */
export const VEHICLE_COMES_WITHIN_MS = 5 * 60_000;
const WAIT_FOR_VEHICLE_MS = 30_000;

/** @returns milliseconds to wait for a signal before looking again; `null` stands for a refusal */
export function pauseMs(standing: VehicleStanding | null, nowMs: number): number {
  if (standing === null) return AFTER_REFUSAL_MS;
  if (standing.state === 'absent') return WAIT_FOR_VEHICLE_MS;
  if (standing.nextChangeAt === null) return CHECK_EVERY_MS;
  return Math.min(CHECK_EVERY_MS, Math.max(1, Date.parse(standing.nextChangeAt) - nowMs));
}
