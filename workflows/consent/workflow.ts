import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import * as wf from '@temporalio/workflow';
import type { ConsentActivities } from '../../activities/consent';
import type { Consent, ConsentOffer } from '../../contracts/consents';
import type { DeletionRequest } from '../../contracts/deletions';
import type { Integration } from '../../contracts/ids';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { deletionOptions } from '../biometric-deletion/options';
import type { biometricDeletionWorkflow } from '../biometric-deletion/workflow';
import { fail } from '../lib/fail';
import { consentWithdrawn, getConsent, grantConsent, renewConsent } from './messages';
import {
  dueReminder,
  expired,
  granted,
  isOver,
  msUntilExpiry,
  msUntilNext,
  offered,
  reminded,
  renewed,
  withdrawn,
} from './state';

const { recordConsent, recordReminder } = wf.proxyActivities<ConsentActivities>({
  startToCloseTimeout: '10 seconds',
});

/** One execution per consent (P1). Handlers decide; only the loop writes, so revisions reach the database in order. */
export async function consentWorkflow(offer: ConsentOffer, carried?: Consent): Promise<Consent> {
  let consent = carried ?? offered(offer.consentId, offer.offeredUntil);
  let savedRevision = carried?.revision ?? -1;
  const saved = async (mine: Consent): Promise<Consent> => {
    await wf.condition(() => savedRevision >= mine.revision);
    return mine;
  };
  wf.setHandler(getConsent, () => consent);
  wf.setHandler(grantConsent, () => saved((consent = granted(consent, offer.validForDays, Date.now()))), {
    validator: () => {
      if (isOver(consent)) throw fail('ConsentStateConflict', `The consent is already ${consent.status}.`);
    },
  });
  wf.setHandler(renewConsent, () => saved((consent = renewed(consent, offer.validForDays, Date.now()))), {
    validator: () => {
      if (consent.status !== 'granted') throw fail('ConsentStateConflict', `The consent is ${consent.status}.`);
    },
  });
  wf.setHandler(consentWithdrawn, () => void (consent = withdrawn(consent)));

  for (;;) {
    if (savedRevision < consent.revision) {
      const { revision } = consent;
      const deletion = await recordConsent(offer, consent);
      wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: consent.status }]);
      savedRevision = revision;
      // Executions from before the deletion's time have no answer here.
      if (deletion) await beginDeletion(deletion);
    } else if (isOver(consent) || wf.workflowInfo().continueAsNewSuggested) {
      if (wf.allHandlersFinished()) {
        return isOver(consent) ? consent : wf.continueAsNew<typeof consentWorkflow>(offer, consent);
      }
      await wf.condition(() => wf.allHandlersFinished() || savedRevision < consent.revision);
    } else {
      const changed = () => savedRevision < consent.revision || wf.workflowInfo().continueAsNewSuggested;
      const reminds = wf.patched('reminders');
      const waitMs = reminds ? msUntilNext(consent, Date.now()) : msUntilExpiry(consent, Date.now());
      if (await wf.condition(changed, waitMs)) continue;
      const reminder = reminds ? dueReminder(consent, Date.now()) : undefined;
      if (reminder) {
        await recordReminder(offer, reminder);
        consent = reminded(consent, reminder);
      } else if (Date.now() >= Date.parse(consent.expiresAt)) consent = expired(consent);
    }
  }
}

/** A process of its own, which sale and erasure use as well; it outlives this one. The API may have begun it. */
async function beginDeletion(request: DeletionRequest): Promise<void> {
  try {
    await wf.startChild<typeof biometricDeletionWorkflow>('biometricDeletionWorkflow', {
      ...deletionOptions(request, wf.workflowInfo().taskQueue as Integration),
      parentClosePolicy: 'ABANDON',
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
