import type { DataConverter } from '@temporalio/common';
import { type NativeConnection, Worker, type WorkerOptions } from '@temporalio/worker';
import type { TaskQueue } from '../contracts/ids';
import { createAccessReviewActivities } from '../activities/access-review';
import { createAttestationActivities } from '../activities/attestation';
import { createDeletionActivities } from '../activities/biometric-deletion';
import { createConsentActivities } from '../activities/consent';
import { createRotationActivities } from '../activities/rotations';
import { createEnrollmentActivities } from '../activities/enrollment';
import { createEquipmentActivities } from '../activities/equipment';
import { createErasedHolderActivities } from '../activities/erased-holders';
import { createErasureActivities } from '../activities/erasure';
import { createHousekeepingActivities } from '../activities/housekeeping';
import { createJournalSealingActivities } from '../activities/journal-sealing';
import { createKeyRewrapActivities } from '../activities/key-rewrap';
import { createLogExportActivities } from '../activities/log-export';
import { createOpenAccessActivities } from '../activities/open-access';
import { createPropertySaleActivities } from '../activities/property-sale';
import { createSecurityAuditActivities } from '../activities/security-audit';
import { createSecurityMonitoringActivities } from '../activities/security-monitoring';
import { createOwnKeyActivities } from '../activities/own-key-rotation';
import { createVehicleAccessActivities } from '../activities/vehicle-access';
import { correlatedActivities } from './correlated-activities';
import { executionSpans } from './execution-spans';
import { heartbeats } from './heartbeats';

export type IntegrationDependencies = Parameters<typeof createOpenAccessActivities>[0] &
  Parameters<typeof createConsentActivities>[0] &
  Parameters<typeof createEnrollmentActivities>[0] &
  Parameters<typeof createRotationActivities>[0];

/** Everything that an integration's worker may do. Its dependencies reach that integration's rows and secrets only. */
export function integrationActivities(deps: IntegrationDependencies) {
  return {
    ...createOpenAccessActivities(deps),
    ...createConsentActivities(deps),
    ...createEnrollmentActivities(deps),
    ...createEquipmentActivities(deps),
    ...createVehicleAccessActivities(deps),
    ...createDeletionActivities(deps),
    ...createErasedHolderActivities(deps),
    ...createRotationActivities(deps),
  };
}

/** The process, as logs and the journal name it. */
export const workerName = (taskQueue: TaskQueue): string => `worker-${taskQueue}`;

/** What belongs to no integration. */
export function coreActivities(
  deps: Parameters<typeof createJournalSealingActivities>[0] &
    Parameters<typeof createHousekeepingActivities>[0] &
    Parameters<typeof createKeyRewrapActivities>[0] &
    Parameters<typeof createOwnKeyActivities>[0] &
    Parameters<typeof createPropertySaleActivities>[0] &
    Parameters<typeof createErasureActivities>[0] &
    Parameters<typeof createSecurityMonitoringActivities>[0],
) {
  return {
    ...createHousekeepingActivities(deps),
    ...createJournalSealingActivities(deps),
    ...createKeyRewrapActivities(deps),
    ...createOwnKeyActivities(deps),
    ...createPropertySaleActivities(deps),
    ...createErasureActivities(deps),
    ...createAttestationActivities(deps),
    ...createAccessReviewActivities(deps),
    ...createLogExportActivities(deps),
    ...createSecurityAuditActivities(deps),
    ...createSecurityMonitoringActivities(deps),
  };
}

/**
 * A worker for one task queue. On shutdown it stops polling and gives running activities ten seconds to end: the
 * SDK's own default of none would cut a command to a door in half.
 */
export function createWorker(options: {
  connection: NativeConnection;
  namespace: string;
  taskQueue: string;
  activities: object;
  workflows: Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
  dataConverter: DataConverter;
  identity?: string;
}): Promise<Worker> {
  const { workflows, identity, ...rest } = options;
  return Worker.create({
    ...rest,
    ...workflows,
    ...(identity !== undefined && { identity }),
    interceptors: { activity: [correlatedActivities, heartbeats] },
    sinks: executionSpans,
    shutdownGraceTime: '10 seconds',
    shutdownForceTime: '20 seconds',
    maxConcurrentWorkflowTaskExecutions: 200,
    maxConcurrentLocalActivityExecutions: 200,
  });
}
