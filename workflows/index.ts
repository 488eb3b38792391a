export { consentWorkflow } from './consent/workflow';
export { enrollmentWorkflow } from './enrollment/workflow';
export { housekeepingWorkflow } from './housekeeping/workflow';
export { openAccessWorkflow } from './open-access/workflow';
