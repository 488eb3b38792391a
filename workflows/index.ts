export { biometricDeletionWorkflow } from './biometric-deletion/workflow';
export { consentWorkflow } from './consent/workflow';
export { enrollmentWorkflow } from './enrollment/workflow';
export { equipmentRoundWorkflow, equipmentSyncWorkflow } from './equipment-sync/workflow';
export { housekeepingWorkflow } from './housekeeping/workflow';
export { journalSealingWorkflow } from './journal-sealing/workflow';
export { openAccessWorkflow } from './open-access/workflow';
export { propertySaleWorkflow } from './property-sale/workflow';
export { vehicleAccessWorkflow } from './vehicle-access/workflow';
