import type { SignalDefinition } from '@temporalio/common';
import type { Client } from '@temporalio/client';
import type { CredentialRef } from '../../contracts/credentials';
import { credentialRotationWorkflowId } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { credentialAnnounced, revokeCredential } from './messages';

/** Replaces a credential now and lets the old one end without overlap; begins its execution if it has none (R0.6). */
export const revokeNow = (temporal: Client, credential: CredentialRef): Promise<void> =>
  signal(temporal, credential, revokeCredential);

/** Replaces a credential by the successor that its partner announced; begins its execution if it has none (R0.6). */
export const replaceNow = (temporal: Client, credential: CredentialRef): Promise<void> =>
  signal(temporal, credential, credentialAnnounced);

async function signal(temporal: Client, credential: CredentialRef, sent: SignalDefinition): Promise<void> {
  const { integration, partnerId, direction, name } = credential;
  await temporal.workflow.signalWithStart('credentialRotationWorkflow', {
    workflowId: credentialRotationWorkflowId(partnerId, direction, name),
    taskQueue: integration ?? 'core',
    args: [credential],
    signal: sent,
    signalArgs: [],
    staticSummary: 'a credential and its successors',
    typedSearchAttributes: [
      ...(integration === null ? [] : [{ key: INTEGRATION_ATTRIBUTE, value: integration }]),
      { key: PROCESS_ATTRIBUTE, value: 'credential-rotation' },
      { key: STATE_ATTRIBUTE, value: 'in-use' },
    ],
  });
}
