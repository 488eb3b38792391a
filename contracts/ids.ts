/** Names that processes find each other by. Ids in here are opaque; nothing personal may ever be part of one. */

export const INTEGRATIONS = ['smart-home', 'communal'] as const;
/** Our isolated side towards one group of outside companies (R4.10): own worker, queue, role, secrets, limits. */
export type Integration = (typeof INTEGRATIONS)[number];

/** One task queue per worker process; `core` runs what belongs to no integration. */
export const TASK_QUEUES = [...INTEGRATIONS, 'core'] as const;
export type TaskQueue = (typeof TASK_QUEUES)[number];

export const openAccessWorkflowId = (openingId: string): string => `open-access/${openingId}`;
export const consentWorkflowId = (consentId: string): string => `consent/${consentId}`;
export const enrollmentWorkflowId = (enrollmentId: string): string => `enrollment/${enrollmentId}`;
export const equipmentSyncWorkflowId = (partnerId: string): string => `equipment-sync/${partnerId}`;
export const equipmentScheduleId = (integration: Integration): string => `equipment/${integration}`;
export const vehicleAccessWorkflowId = (vehicleId: string, partnerId: string): string =>
  `vehicle-access/${vehicleId}/${partnerId}`;
export const erasureWorkflowId = (erasureId: string): string => `erasure/${erasureId}`;
export const deletionWorkflowId = (deletionId: string): string => `deletion/${deletionId}`;
export const propertySaleWorkflowId = (saleId: string): string => `property-sale/${saleId}`;
export const HOUSEKEEPING_SCHEDULE_ID = 'housekeeping';
export const JOURNAL_SEALING_SCHEDULE_ID = 'journal-sealing';
export const credentialRotationWorkflowId = (partnerId: string, direction: string, name: string): string =>
  `credential-rotation/${partnerId}/${direction}/${name}`;
export const credentialScheduleId = (taskQueue: TaskQueue): string => `credentials/${taskQueue}`;
export const securityAlertWorkflowId = (alertId: string): string => `security-alert/${alertId}`;
export const SECURITY_MONITORING_SCHEDULE_ID = 'security-monitoring';
export const KEY_REWRAP_SCHEDULE_ID = 'key-rewrap';
export const accessReviewWorkflowId = (reviewId: string): string => `access-review/${reviewId}`;
export const ACCESS_REVIEW_SCHEDULE_ID = 'access-review';
export const logExportWorkflowId = (demandId: string): string => `log-export/${demandId}`;
export const SECURITY_AUDIT_SCHEDULE_ID = 'security-audit';
export const ATTESTATION_SCHEDULE_ID = 'attestation-round';
