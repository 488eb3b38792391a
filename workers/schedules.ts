import { ScheduleAlreadyRunning, type Client, type ScheduleOptions } from '@temporalio/client';
import {
  ACCESS_REVIEW_SCHEDULE_ID,
  ATTESTATION_SCHEDULE_ID,
  credentialScheduleId,
  equipmentScheduleId,
  HOUSEKEEPING_SCHEDULE_ID,
  INTEGRATIONS,
  JOURNAL_SEALING_SCHEDULE_ID,
  KEY_REWRAP_SCHEDULE_ID,
  type Integration,
  type TaskQueue,
  SECURITY_AUDIT_SCHEDULE_ID,
  SECURITY_MONITORING_SCHEDULE_ID,
} from '../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE } from '../contracts/search-attributes';

/** What runs by the clock. */
export const SCHEDULES: readonly ScheduleOptions[] = [
  coreSchedule(HOUSEKEEPING_SCHEDULE_ID, 'housekeepingWorkflow', '15 minutes'),
  // What is written between two turns is not protected yet.
  coreSchedule(JOURNAL_SEALING_SCHEDULE_ID, 'journalSealingWorkflow', '1 minute'),
  coreSchedule(ATTESTATION_SCHEDULE_ID, 'attestationRoundWorkflow', '1 hour'),
  coreSchedule(SECURITY_MONITORING_SCHEDULE_ID, 'securityMonitoringWorkflow', '1 minute'),
  coreSchedule(KEY_REWRAP_SCHEDULE_ID, 'keyRewrapWorkflow', '1 hour'),
  {
    ...coreSchedule(SECURITY_AUDIT_SCHEDULE_ID, 'securityAuditWorkflow', '1 hour'),
    spec: { calendars: [{ dayOfWeek: 'MONDAY', hour: 5 }] },
  },
  // Quarterly (R4.3). The server starts what it missed within the day.
  {
    ...coreSchedule(ACCESS_REVIEW_SCHEDULE_ID, 'accessReviewWorkflow', '1 hour', [{}]),
    spec: { calendars: [{ month: ['JANUARY', 'APRIL', 'JULY', 'OCTOBER'], dayOfMonth: 1, hour: 6 }] },
    policies: { overlap: 'ALLOW_ALL', catchupWindow: '1 day' },
  },
  ...INTEGRATIONS.map((integration): ScheduleOptions => ({
    scheduleId: equipmentScheduleId(integration),
    spec: { intervals: [{ every: '15 minutes' }], jitter: '1 minute' },
    policies: { overlap: 'SKIP' },
    action: {
      type: 'startWorkflow',
      workflowType: 'equipmentRoundWorkflow',
      workflowId: `equipment-round/${integration}`,
      taskQueue: integration,
      args: [{ integration }],
      typedSearchAttributes: [
        { key: INTEGRATION_ATTRIBUTE, value: integration },
        { key: PROCESS_ATTRIBUTE, value: 'equipment-sync' },
      ],
    },
  })),
  ...INTEGRATIONS.map((integration) => credentialSchedule(integration, integration)),
  credentialSchedule('core', null),
];

function credentialSchedule(taskQueue: TaskQueue, integration: Integration | null): ScheduleOptions {
  return {
    scheduleId: credentialScheduleId(taskQueue),
    spec: { intervals: [{ every: '1 hour' }], jitter: '5 minutes' },
    policies: { overlap: 'SKIP' },
    action: {
      type: 'startWorkflow',
      workflowType: 'credentialRoundWorkflow',
      workflowId: `credential-round/${taskQueue}`,
      taskQueue,
      args: [{ integration }],
      typedSearchAttributes: [
        ...(integration === null ? [] : [{ key: INTEGRATION_ATTRIBUTE, value: integration }]),
        { key: PROCESS_ATTRIBUTE, value: 'credential-rotation' },
      ],
    },
  };
}

function coreSchedule(
  id: string,
  workflowType: string,
  every: '1 minute' | '15 minutes' | '1 hour',
  args: object[] = [],
): ScheduleOptions {
  return {
    scheduleId: id,
    spec: { intervals: [{ every }] },
    policies: { overlap: 'SKIP' },
    action: {
      type: 'startWorkflow',
      workflowType,
      workflowId: id,
      taskQueue: 'core',
      args,
      typedSearchAttributes: [{ key: PROCESS_ATTRIBUTE, value: id }],
    },
  };
}

/**
 * Creates the schedules that are not there yet, and brings those of an earlier release to what is wanted now; whoever has
 * paused one finds it paused. Several `core` workers may start at once.
 */
export async function ensureSchedules(client: Client, schedules = SCHEDULES): Promise<void> {
  for (const schedule of schedules) {
    try {
      await client.schedule.create(schedule);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
      await bringUpToDate(client, schedule);
    }
  }
}

async function bringUpToDate(client: Client, { scheduleId, spec, policies, action }: ScheduleOptions): Promise<void> {
  await client.schedule.getHandle(scheduleId).update(({ state: { paused, note, remainingActions } }) => ({
    spec,
    action,
    ...(policies && { policies }),
    state: { paused, ...(note !== undefined && { note }), ...(remainingActions !== undefined && { remainingActions }) },
  }));
}
