/** What became of one access point when the partner's list was compared with ours. */
export const EQUIPMENT_CHANGES = ['added', 'removed', 'restored', 'changed'] as const;
export type EquipmentChange = (typeof EQUIPMENT_CHANGES)[number];

/** One house's answer; `failed` names the failure, and nothing was changed then. */
export type HouseSync = {
  readonly houseId: string;
  readonly changes: readonly { readonly accessPointId: string; readonly change: EquipmentChange }[];
  readonly failed: string | null;
};

export type EquipmentSyncRequest = { readonly partnerId: string };
export type EquipmentSyncResult = { readonly houses: readonly HouseSync[] };
