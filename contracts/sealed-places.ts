/** Where a sealed value lives; authenticated with it, so that it opens nowhere else (vault/envelope.ts). */
export const templatePlace = (enrollmentId: string): string => `face_templates/${enrollmentId}`;
export const vehiclePlace = (vehicleId: string): string => `vehicles/${vehicleId}`;
export const journalPlace = (entry: { kind: string; objectId: string; outcome: string }): string =>
  `journal_entries/${entry.kind}/${entry.objectId}/${entry.outcome}`;
export const profilePlace = (residentId: string): string => `resident_profiles/${residentId}`;
