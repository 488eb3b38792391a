import type { SaleObstacle, SalePartnerProgress, SaleProgress, SaleState } from '../../contracts/property-sales';
import { escalationLevel, msUntilEscalation } from '../biometric-deletion/state';

/** What the execution of a sale knows besides what the database says. Pure: times come as milliseconds. */
export type SaleWatch = {
  /** When what is waited for began. */
  readonly sinceMs: number;
  /** How often it was looked. */
  readonly looks: number;
  /** How often a person was called. */
  readonly level: number;
  /** The partners are to be told, or told again. */
  readonly tells: boolean;
  /** What the sale was when its execution began anew: the same state again is no news, and keeps the count of calls. */
  readonly state?: SaleState;
};

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

export const watched = (nowMs: number): SaleWatch => ({ sinceMs: nowMs, looks: 0, level: 0, tells: true });

export const looked = (watch: SaleWatch): SaleWatch => ({ ...watch, looks: watch.looks + 1, tells: false });

/** Whether a person is to be called now. */
export const isOverdue = ({ sinceMs, level }: SaleWatch, nowMs: number): boolean =>
  escalationLevel(nowMs - sinceMs) > level;

/** A person was called: whoever has not confirmed is told again, in case it was lost. */
export const called = (watch: SaleWatch, nowMs: number): SaleWatch => ({
  ...watch,
  level: escalationLevel(nowMs - watch.sinceMs),
  tells: true,
});

/** @returns milliseconds until the next look, never past the next call to a person */
export function pauseMs({ looks, sinceMs }: SaleWatch, nowMs: number): number {
  const growing = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(looks, 20));
  return Math.max(1, Math.min(growing, msUntilEscalation(nowMs - sinceMs)));
}

/** Since when what is waited for is late: a sale of a later date is not before that. */
export const waitingSince = (watch: SaleWatch, effectiveAt: string): SaleWatch => ({
  ...watch,
  sinceMs: Math.max(watch.sinceMs, Date.parse(effectiveAt)),
});

type Obstacle = { readonly partnerId: string | null; readonly reason: SaleObstacle };

/** Who has not confirmed, and what of. @param isThrough whether our own steps worked: else that is what is in the way */
export function obstacles({ partners }: SaleProgress, isThrough: boolean): Obstacle[] {
  const ofPartners = partners.flatMap((partner): Obstacle[] => {
    const reason = obstacleOf(partner);
    return reason === null ? [] : [{ partnerId: partner.partnerId, reason }];
  });
  return isThrough ? ofPartners : [...ofPartners, { partnerId: null, reason: 'StepFailed' }];
}

function obstacleOf({ plates, biometrics }: SalePartnerProgress): SaleObstacle | null {
  if (plates === 'settling') return 'PlatesNotSettled';
  return biometrics === 'deleting' ? 'BiometricsNotDeleted' : null;
}
