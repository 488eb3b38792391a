import { ScheduleAlreadyRunning, type Client } from '@temporalio/client';
import { HOUSEKEEPING_SCHEDULE_ID } from '../contracts/ids';
import { PROCESS_ATTRIBUTE } from '../contracts/search-attributes';

/** Creates the tidying schedule unless it is there. Several `core` workers may start at once. */
export async function ensureHousekeeping(client: Client): Promise<void> {
  try {
    await client.schedule.create({
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
    });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
