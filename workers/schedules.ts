import { ScheduleAlreadyRunning, type Client, type ScheduleOptions } from '@temporalio/client';
import {
  credentialScheduleId,
  equipmentScheduleId,
  HOUSEKEEPING_SCHEDULE_ID,
  INTEGRATIONS,
  KEY_REWRAP_SCHEDULE_ID,
} from '../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE } from '../contracts/search-attributes';

const SCHEDULES: readonly ScheduleOptions[] = [
  {
    scheduleId: HOUSEKEEPING_SCHEDULE_ID,
    spec: { intervals: [{ every: '15 minutes' }] },
    policies: { overlap: 'SKIP' },
    action: {
      type: 'startWorkflow',
      workflowType: 'housekeepingWorkflow',
      workflowId: 'housekeeping',
      taskQueue: 'core',
      args: [],
      typedSearchAttributes: [{ key: PROCESS_ATTRIBUTE, value: 'housekeeping' }],
    },
  },
  {
    scheduleId: KEY_REWRAP_SCHEDULE_ID,
    spec: { intervals: [{ every: '1 hour' }] },
    policies: { overlap: 'SKIP' },
    action: {
      type: 'startWorkflow',
      workflowType: 'keyRewrapWorkflow',
      workflowId: 'key-rewrap',
      taskQueue: 'core',
      args: [],
      typedSearchAttributes: [{ key: PROCESS_ATTRIBUTE, value: 'key-rewrap' }],
    },
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
  ...INTEGRATIONS.map((integration): ScheduleOptions => ({
    scheduleId: credentialScheduleId(integration),
    spec: { intervals: [{ every: '1 hour' }], jitter: '5 minutes' },
    policies: { overlap: 'SKIP' },
    action: {
      type: 'startWorkflow',
      workflowType: 'credentialRoundWorkflow',
      workflowId: `credential-round/${integration}`,
      taskQueue: integration,
      args: [{ integration }],
      typedSearchAttributes: [
        { key: INTEGRATION_ATTRIBUTE, value: integration },
        { key: PROCESS_ATTRIBUTE, value: 'credential-rotation' },
      ],
    },
  })),
];

/** Creates the schedules that are not there yet. Several `core` workers may start at once. */
export async function ensureSchedules(client: Client): Promise<void> {
  for (const schedule of SCHEDULES) {
    try {
      await client.schedule.create(schedule);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    }
  }
}
