/** Failed identifications at one device before it stops identifying, and for how long (R2.6). */
export const LOCKOUT = { attempts: 10, withinS: 300, forS: 900 } as const;

export const lockoutKeyPrefix = 'identification';
/** The row of `rate_limits` that counts failed identifications at an access point. */
export const lockoutKey = (accessPointId: string): string => `${lockoutKeyPrefix}:${accessPointId}`;
