import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { parseKeyRing } from '../config/environment';
import { projectFile } from '../config/project-root';
import { createPayloadCodec, decodePayloadsIn } from '../vault/payload-codec';
import { stackPorts } from './ports';
import { openStateFolder } from './state-folder';
import { NAMESPACE } from './temporal-server';

/** Runs that replaced a credential. */
const replaced = (id: string): string =>
  `WorkflowId = 'credential-rotation/${id}' AND ExecutionStatus = 'ContinuedAsNew'`;
const done = (type: string): string => `WorkflowType = '${type}' AND ExecutionStatus = 'Completed'`;

/** One closed execution of each, found by these queries in the running local stack. */
const WANTED: Readonly<Record<string, string>> = {
  'open-access/opened-without-update': `WorkflowType = 'openAccessWorkflow' AND DomovoyState IS NULL AND ExecutionStatus = 'Completed'`,
  'open-access/denied-without-update': `WorkflowType = 'openAccessWorkflow' AND DomovoyState = 'denied'`,
  'vehicle-access/removed': `WorkflowType = 'vehicleAccessWorkflow' AND DomovoyState = 'removed'`,
  'journal-sealing/sealed': `WorkflowType = 'journalSealingWorkflow' AND ExecutionStatus = 'Completed'`,
  'enrollment/partner-custody-undo-after-attempt': `WorkflowType = 'enrollmentWorkflow' AND DomovoyIntegration = 'communal'`,
  'enrollment/company-custody-undo-after-attempt': `WorkflowType = 'enrollmentWorkflow' AND DomovoyIntegration = 'smart-home'`,
  'consent/withdrawn': `WorkflowType = 'consentWorkflow' AND DomovoyState = 'withdrawn'`,
  'biometric-deletion/partner-custody': `WorkflowType = 'biometricDeletionWorkflow' AND DomovoyIntegration = 'communal'`,
  'biometric-deletion/company-custody': `WorkflowType = 'biometricDeletionWorkflow' AND DomovoyIntegration = 'smart-home'`,
  'credential-rotation/revoked': replaced('vizor/presented/client-secret'),
  'credential-rotation/token-key': replaced('domovoy/own/token-signing-key'),
  'credential-rotation/message-key': replaced('domovoy/own/message-signing-key'),
  'credential-rotation/tls-key': replaced('shlagbaum/presented/tls-key'),
  'credential-rotation/alarms-beside': replaced('kluch/issued/kluch'),
  'credential-rotation/round': done('credentialRoundWorkflow'),
  'access-review/closed': done('accessReviewWorkflow'),
  'attestation-round/done': done('attestationRoundWorkflow'),
  'log-export/received': done('logExportWorkflow'),
  'security-audit/done': done('securityAuditWorkflow'),
  'key-rewrap/done': done('keyRewrapWorkflow'),
  'property-sale/in-force': `WorkflowType = 'propertySaleWorkflow' AND ExecutionStatus = 'Completed'`,
  'erasure/erased': `WorkflowType = 'erasureWorkflow' AND DomovoyState = 'erased'`,
  'erasure/closed': `WorkflowType = 'erasureWorkflow' AND DomovoyState = 'closed'`,
  'security-alert/hints-counted-before-asking': `WorkflowType = 'securityAlertWorkflow' AND ExecutionStatus = 'Completed'`,
  'security-monitoring/turn': `WorkflowType = 'securityMonitoringWorkflow' AND ExecutionStatus = 'Completed'`,
  'housekeeping/done': `WorkflowType = 'housekeepingWorkflow' AND ExecutionStatus = 'Completed'`,
};

/**
 * `npm run history:record -- [process | process/name …]`: writes these histories of the running local stack, or all, to
 * `test/replay/histories`, payloads decrypted, so that later code can be shown to replay what this code did. Histories
 * hold opaque ids only; these are made up. A stack that was started with ERASURE_FOLLOW_UP_MS=60000 has a closed erasure.
 * Of what the story does not do, staff revoke the credentials, and the schedules are triggered in the Temporal UI.
 */
async function main(): Promise<void> {
  const folder = openStateFolder(process.env);
  const ring = parseKeyRing(readFileSync(join(folder.secrets, 'payload-keys'), 'utf8'));
  const codec = createPayloadCodec(ring.keys, ring.currentId);
  const address = `127.0.0.1:${stackPorts(process.env).temporal.toString()}`;
  const connection = await Connection.connect({ address });
  const client = new Client({ connection, namespace: NAMESPACE });
  const asked = process.argv.slice(2);
  for (const [name, query] of Object.entries(WANTED)) {
    if (asked.length > 0 && !asked.some((wanted) => name === wanted || name.startsWith(`${wanted}/`))) continue;
    const found = await oldest(client.workflow.list({ query }));
    if (!found) throw new Error(`The running stack has no execution for ${name}; play the story first.`);
    const history = await client.workflow.getHandle(found.workflowId, found.runId).fetchHistory();
    await decodePayloadsIn(history, [codec]);
    const file = projectFile(`test/replay/histories/${name}.json`);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, `${historyToJSON(history)}\n`);
    console.log(`${name}: ${found.workflowId}`);
  }
  await connection.close();
}

/** Lists come newest first; the story begins with the partner in company custody. */
async function oldest<T>(items: AsyncIterable<T>): Promise<T | undefined> {
  let last: T | undefined;
  for await (const item of items) last = item;
  return last;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
