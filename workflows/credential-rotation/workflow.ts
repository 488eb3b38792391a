import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import * as wf from '@temporalio/workflow';
import type { CredentialRotationActivities } from '../../activities/credential-rotation';
import type { AlarmDay, CredentialRef } from '../../contracts/credentials';
import { credentialRotationWorkflowId, type Integration } from '../../contracts/ids';
import { INTEGRATION_ATTRIBUTE, PROCESS_ATTRIBUTE, STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { credentialAnnounced, getRotationStage, revokeCredential, type RotationStage } from './messages';
import {
  ALARM_DAYS,
  ALARMS_AFTER_MS,
  alarmsDue,
  endOf,
  msUntilAlarm,
  msUntilRotation,
  OVERLAP_MS,
  pauseMs,
} from './state';

/** Our own tables and vault: tried again for as long as it takes. Alarms sound meanwhile (`withAlarms`). */
const records = wf.proxyActivities<CredentialRotationActivities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '1 second', maximumInterval: '1 minute' },
});
/** The partner: a few tries at once. The loop in `insist` goes on from there. */
const partner = wf.proxyActivities<CredentialRotationActivities>({
  startToCloseTimeout: '30 seconds',
  retry: { initialInterval: '1 second', maximumAttempts: 3 },
});

/**
 * One execution per credential (P5), as long as there is one. Each run is one replacement: issue and store, deliver,
 * prove, use, overlap, retire, prove that the old one is refused. Forward only (design rule 7): each step may be
 * repeated, and until the new one is proven the old one stays.
 *
 * @param urgently a revocation that came too late for the replacement before this one
 */
export async function credentialRotationWorkflow(credential: CredentialRef, urgently = false): Promise<'gone'> {
  let revocations = urgently ? 1 : 0;
  let announcements = 0;
  let stage: RotationStage = 'in-use';
  wf.setHandler(revokeCredential, () => {
    revocations++;
  });
  wf.setHandler(credentialAnnounced, () => {
    announcements++;
  });
  wf.setHandler(getRotationStage, () => stage);
  const enter = (next: RotationStage): void => {
    stage = next;
    wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: next }]);
  };
  const isUrgent = (): boolean => revocations > 0;
  const isDue = (): boolean => isUrgent() || announcements > 0;

  enter('in-use');
  const standing = await records.credentialStanding(credential);
  if (standing === null) return 'gone';
  const id = wf.workflowInfo().workflowId;
  const endsAtMs = endOf(standing.issuedAt);
  const hints = (): number => announcements + (isUrgent() ? 1 : 0);

  if (standing.overlapping === null && standing.pending === null) {
    await wf.condition(isDue, msUntilRotation(standing.issuedAt, id, Date.now()));
  }
  const insisting = { credential, endsAtMs, isUrgent, hints, alarmsBeside: wf.patched('alarms-beside-steps') };
  if (standing.overlapping !== null) {
    // An execution that ended early left it so. The new one has been in use since.
    await retire(standing.overlapping);
    return wf.continueAsNew<typeof credentialRotationWorkflow>(credential, isUrgent());
  }

  enter('issuing');
  const version = await withAlarms(insisting, () => records.issueCredential(credential, new Date().toISOString()));
  enter('delivering');
  await insist(insisting, async () => {
    await revokeAtOnce(version);
    await partner.deliverCredential(credential, version);
  });
  if (standing.leadMs !== undefined) await wf.condition(isUrgent, standing.leadMs);
  enter('proving');
  await insist(insisting, async () => {
    await revokeAtOnce(version);
    await partner.proveCredential(credential, version);
  });
  const answered = revocations;
  await withAlarms(insisting, () => records.useCredential(credential, version));

  enter('overlapping');
  // The new one is in use: a revocation from here on is of that one too, and leaves the old one no time either.
  if (answered === 0) await wf.condition(isUrgent, OVERLAP_MS);
  await retire(version);
  return wf.continueAsNew<typeof credentialRotationWorkflow>(credential, revocations > answered);

  /** What others show us ends in our own tables: without waiting until the partner has been told of the next one. */
  async function revokeAtOnce(keep: number): Promise<void> {
    const isShownToUs = credential.direction === 'issued' || credential.direction === 'announced';
    if (isShownToUs && isUrgent()) await records.acceptOnly(credential, keep);
  }

  async function retire(keep: number): Promise<void> {
    enter('retiring');
    await insist(insisting, () => partner.retireOlder(credential, keep));
    await insist(insisting, () => partner.proveRefused(credential, keep));
  }
}

type Insisting = {
  readonly credential: CredentialRef;
  /** When the credential ends that is being replaced. */
  readonly endsAtMs: number;
  readonly isUrgent: () => boolean;
  /** How often somebody said that now is the time. */
  readonly hints: () => number;
  /** Alarms do not wait for a try to fail: one of ours does not end as long as our own side is out. */
  readonly alarmsBeside: boolean;
};

/** Does a step until it has worked. Alarms sound at their moments as long as it has not. */
const insist = (insisting: Insisting, step: () => Promise<void>): Promise<void> =>
  withAlarms(insisting, () => untilItWorks(insisting, step));

/** Sounds the alarms whose moment comes, or has come, before a step is over. */
async function withAlarms<T>(insisting: Insisting, step: () => Promise<T>): Promise<T> {
  if (!insisting.alarmsBeside) return step();
  const beside = new wf.CancellationScope();
  const sounding = beside
    .run(() => soundAlarms(insisting))
    .catch((error: unknown) => {
      if (!wf.isCancellation(error)) throw error;
    });
  try {
    return await step();
  } finally {
    beside.cancel();
    await sounding;
  }
}

async function soundAlarms({ credential, endsAtMs }: Insisting): Promise<void> {
  // A step that works is over by then, and nobody is called for what was overdue when it began.
  await wf.sleep(ALARMS_AFTER_MS);
  for (const day of ALARM_DAYS) {
    const inMs = msUntilAlarm(endsAtMs, day, Date.now());
    if (inMs > 0) await wf.sleep(inMs);
    const at = { now: new Date().toISOString(), end: new Date(endsAtMs).toISOString() };
    await records.raiseExpiryAlarm(credential, day, at);
  }
}

async function untilItWorks(
  { credential, endsAtMs, isUrgent, hints, alarmsBeside }: Insisting,
  step: () => Promise<void>,
): Promise<void> {
  const raised = new Set<AlarmDay>();
  for (let tries = 1; ; tries++) {
    const heard = hints();
    try {
      await step();
      return;
    } catch (error) {
      if (wf.isCancellation(error)) throw error;
    }
    for (const day of alarmsBeside ? [] : alarmsDue(endsAtMs, Date.now())) {
      const at = { now: new Date().toISOString(), end: new Date(endsAtMs).toISOString() };
      if (!raised.has(day)) await records.raiseExpiryAlarm(credential, day, at);
      raised.add(day);
    }
    // What is done so far is in our tables: the next run finds it there.
    if (wf.workflowInfo().continueAsNewSuggested) {
      await wf.continueAsNew<typeof credentialRotationWorkflow>(credential, isUrgent());
    }
    await wf.condition(() => hints() > heard, pauseMs(tries, isUrgent(), endsAtMs, Date.now()));
  }
}

/** Run by a schedule: begins the execution of every credential that has none. */
export async function credentialRoundWorkflow({ integration }: { integration: Integration | null }): Promise<number> {
  const credentials = await records.rotatingCredentials();
  const started = await Promise.all(credentials.map((credential) => begin(integration, credential)));
  if (wf.patched('stored-credentials-settled')) await records.settleStoredCredentials();
  return started.filter(Boolean).length;
}

async function begin(integration: Integration | null, credential: CredentialRef): Promise<boolean> {
  try {
    await wf.startChild(credentialRotationWorkflow, {
      workflowId: credentialRotationWorkflowId(credential.partnerId, credential.direction, credential.name),
      args: [credential],
      parentClosePolicy: 'ABANDON',
      staticSummary: 'a credential and its successors',
      typedSearchAttributes: [
        ...(integration === null ? [] : [{ key: INTEGRATION_ATTRIBUTE, value: integration }]),
        { key: PROCESS_ATTRIBUTE, value: 'credential-rotation' },
        { key: STATE_ATTRIBUTE, value: 'in-use' },
      ],
    });
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
