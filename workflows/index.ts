export { consentWorkflow } from './consent/workflow';
export { credentialRotationWorkflow, credentialRoundWorkflow } from './credential-rotation/workflow';
export { enrollmentWorkflow } from './enrollment/workflow';
export { equipmentRoundWorkflow, equipmentSyncWorkflow } from './equipment-sync/workflow';
export { housekeepingWorkflow } from './housekeeping/workflow';
export { keyRewrapWorkflow } from './key-rewrap/workflow';
export { openAccessWorkflow } from './open-access/workflow';
export { vehicleAccessWorkflow } from './vehicle-access/workflow';
