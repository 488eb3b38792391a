import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { projectFile } from '../../config/project-root';
import { workflowBundle } from '../support/workflow-bundle';

const folder = projectFile('test/replay/histories');
const recorded = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.json'));

const replay = (history: unknown): Promise<void> =>
  Worker.runReplayHistory(
    {
      workflowBundle: workflowBundle(),
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
        'property-sale',
        'erasure',
        'security-alert',
        'security-monitoring',
        'access-review',
        'attestation-round',
        'log-export',
        'security-audit',
        'key-rewrap',
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
