import { ScheduleAlreadyRunning, type Client, type ScheduleOptions } from '@temporalio/client';
import { equipmentScheduleId, HOUSEKEEPING_SCHEDULE_ID, INTEGRATIONS } from '../contracts/ids';
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
];

/** Creates the schedules that are not there yet. Several `core` workers may start at once. */
export async function ensureSchedules(client: Client): Promise<void> {
  for (const schedule of SCHEDULES) {
    try {
      await client.schedule.create(schedule);
    } catch (error) {
      if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    }
import { ScheduleAlreadyRunning, type Client } from '@temporalio/client';
import { HOUSEKEEPING_SCHEDULE_ID, JOURNAL_SEALING_SCHEDULE_ID } from '../contracts/ids';
import { PROCESS_ATTRIBUTE } from '../contracts/search-attributes';

type Scheduled = { readonly id: string; readonly workflowType: string; readonly every: '15 minutes' | '1 minute' };

const SCHEDULES: readonly Scheduled[] = [
  { id: HOUSEKEEPING_SCHEDULE_ID, workflowType: 'housekeepingWorkflow', every: '15 minutes' },
  // What is written between two turns is not protected yet.
  { id: JOURNAL_SEALING_SCHEDULE_ID, workflowType: 'journalSealingWorkflow', every: '1 minute' },
];

/** Creates the schedules that are not there. Several `core` workers may start at once. */
export async function ensureSchedules(client: Client): Promise<void> {
  for (const schedule of SCHEDULES) await ensureSchedule(client, schedule);
}

async function ensureSchedule(client: Client, { id, workflowType, every }: Scheduled): Promise<void> {
  try {
    await client.schedule.create({
      scheduleId: id,
      spec: { intervals: [{ every }] },
      policies: { overlap: 'SKIP' },
      action: {
        type: 'startWorkflow',
        workflowType,
        workflowId: id,
        taskQueue: 'core',
        args: [],
        typedSearchAttributes: [{ key: PROCESS_ATTRIBUTE, value: id }],
      },
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
