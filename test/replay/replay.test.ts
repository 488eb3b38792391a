import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleWorkflowCode, Worker, type WorkflowBundle } from '@temporalio/worker';
import { projectFile } from '../../config/project-root';

const folder = projectFile('test/replay/histories');
const recorded = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));

let workflowBundle: WorkflowBundle;
beforeAll(async () => {
  workflowBundle = await bundleWorkflowCode({
    workflowsPath: require.resolve('../../workflows'),
    failureConverterPath: require.resolve('../../config/failure-converter'),
    workflowInterceptorModules: [require.resolve('../../workflows/lib/correlation')],
  });
}, 120_000);

const replay = (history: unknown): Promise<void> =>
  Worker.runReplayHistory(
    {
      workflowBundle,
      dataConverter: { failureConverterPath: require.resolve('../../config/failure-converter') },
    },
    history,
    'recorded',
  );

describe('today’s workflows replay what was recorded', () => {
  it('of every process', () => {
    expect(new Set(recorded.map((name) => name.split('/')[0]))).toEqual(
      new Set([
        'open-access',
        'enrollment',
        'consent',
        'biometric-deletion',
        'vehicle-access',
        'housekeeping',
        'journal-sealing',
        'credential-rotation',
      ]),
    );
  });

  it.each(recorded)('%s', async (name) => {
    await replay(JSON.parse(readFileSync(join(folder, name), 'utf8')));
  });

  it('and would notice a step that was taken out', async () => {
    const history = JSON.parse(readFileSync(join(folder, 'enrollment/company-custody.json'), 'utf8')) as {
      events: Record<string, unknown>[];
    };
    const scheduled = history.events.find(
      ({ activityTaskScheduledEventAttributes }) => activityTaskScheduledEventAttributes,
    );
    (scheduled?.['activityTaskScheduledEventAttributes'] as { activityType: { name: string } }).activityType.name =
      'other';
    await expect(replay(history)).rejects.toThrow(/TMPRL1100|[Nn]ondeterminism|match/);
  });
});
