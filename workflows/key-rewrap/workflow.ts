import * as wf from '@temporalio/workflow';
import type { KeyRewrapActivities } from '../../activities/key-rewrap';

const { rewrapSome, rewrapLogs, concludeRewrap } = wf.proxyActivities<KeyRewrapActivities>({
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 5 },
});

const TABLES = ['secrets', 'own_signing_keys', 'subject_keys', 'staged_photos'] as const;

/**
 * Run by a schedule: after the key-encryption key was replaced, wraps every data key anew, in batches, while everything
 * goes on (R0.13). With nothing left under the older key, `left` is 0 and that key may be taken away.
 */
export async function keyRewrapWorkflow(): Promise<{ rewrapped: number; left: number }> {
  let rewrapped = 0;
  const tables = wf.patched('sealed-files') ? [...TABLES, 'sealed_files' as const] : TABLES;
  for (const table of tables) {
    for (let some = await rewrapSome(table); some > 0; some = await rewrapSome(table)) rewrapped += some;
  }
  if (!wf.patched('log-segments')) return { rewrapped, left: await concludeRewrap(rewrapped) };
  let logs = await rewrapLogs();
  for (; logs.rewrapped > 0; logs = await rewrapLogs()) rewrapped += logs.rewrapped;
  return { rewrapped, left: await concludeRewrap(rewrapped, logs.left) };
}
