/**
 * How many failed identifications are borne before identification is refused, and for how long (R2.6). A device is
 * where somebody stands; a client and a network are whose servers ask. `attempts` are what the configuration says when
 * it says nothing (`LOCKOUT_…_ATTEMPTS`).
 */
export const LOCKOUTS = {
  device: { attempts: 10, withinS: 300, forS: 900 },
  client: { attempts: 100, withinS: 300, forS: 900 },
  network: { attempts: 200, withinS: 300, forS: 900 },
  /** Faces that are nearly somebody's, at one device: a vector that is being improved step by step. */
  'near-miss': { attempts: 5, withinS: 600, forS: 3_600 },
  /** Different plates at one house that differ in one character only: a plate that is being walked. */
  'plate-walk': { attempts: 3, withinS: 3_600, forS: 3_600 },
} as const;
export type LockoutScope = keyof typeof LOCKOUTS;
/** How many are borne; the next one locks. */
export type LockoutAttempts = Readonly<Record<LockoutScope, number>>;

/** Before the lockout: from the sixth failure in a row on, each doubles the pause at that device. */
const PAUSES_AFTER = 5;
/** @returns seconds that identification at a device pauses after its `failures`-th failure */
export const pauseS = (failures: number): number =>
  failures <= PAUSES_AFTER ? 0 : Math.min(2 ** (failures - PAUSES_AFTER - 1), LOCKOUTS.device.forS);

/**
 * How many refusals at the door are borne in a minute, of one name that comes from one network and of all names from
 * there, before nothing slow is done for them (api/refusal-limits.ts); where the configuration says nothing.
 */
export const REFUSALS_BORNE = { ofName: 20, ofNetwork: 100 } as const;
export type BorneRefusals = Readonly<Record<keyof typeof REFUSALS_BORNE, number>>;

const prefixes: Readonly<Record<LockoutScope | 'pause', string>> = {
  device: 'identification',
  client: 'identification-client',
  network: 'identification-network',
  'near-miss': 'near-miss',
  'plate-walk': 'plate-walk',
  pause: 'identification-pause',
};
/** What the rows of `rate_limits` for this scope begin with. */
export const lockoutKeyPrefix = (scope: LockoutScope | 'pause'): string => prefixes[scope];
/**
 * The row of `rate_limits` that counts failed identifications in this scope. That of `pause` says until when nobody is
 * identified at a device, be it a pause or a lockout: who reads it needs to know no limit.
 */
export const lockoutKey = (scope: LockoutScope | 'pause', objectId: string): string => `${prefixes[scope]}:${objectId}`;
