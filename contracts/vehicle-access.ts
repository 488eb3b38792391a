/** Argument of the vehicle-access workflow: opaque ids only. The plate waits, sealed, in the database. */
export type VehicleAccessRequest = {
  readonly vehicleId: string;
  readonly partnerId: string;
};

/**
 * How a vehicle stands at a partner in plate custody. `allowed`: its plate opens at a house at least. `not-allowed`: it
 * opens nowhere because there is no right now. `removed`: removed, and the partner has confirmed. `absent`: there is no
 * such vehicle (yet).
 */
export type VehicleStanding = {
  readonly state: 'allowed' | 'not-allowed' | 'removed' | 'absent';
  /** When a right of the resident begins or ends next (ISO 8601, UTC). */
  readonly nextChangeAt: string | null;
};
