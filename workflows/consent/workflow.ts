import * as wf from '@temporalio/workflow';
import type { ConsentActivities } from '../../activities/consent';
import type { Consent, ConsentOffer } from '../../contracts/consents';
import { STATE_ATTRIBUTE } from '../../contracts/search-attributes';
import { fail } from '../lib/fail';
import { getConsent, grantConsent } from './messages';
import { expired, granted, isOver, msUntilExpiry, offered } from './state';

const { recordConsent } = wf.proxyActivities<ConsentActivities>({ startToCloseTimeout: '10 seconds' });

/** One execution per consent (P1). Handlers decide; only the loop writes, so revisions reach the database in order. */
export async function consentWorkflow(offer: ConsentOffer, carried?: Consent): Promise<Consent> {
  let consent = carried ?? offered(offer.consentId, offer.offeredUntil);
  let savedRevision = carried?.revision ?? -1;
  wf.setHandler(getConsent, () => consent);
  wf.setHandler(
    grantConsent,
    async () => {
      const mine = (consent = granted(consent, offer.validForDays, Date.now()));
      await wf.condition(() => savedRevision >= mine.revision);
      return mine;
    },
    {
      validator: () => {
        if (isOver(consent)) throw fail('ConsentStateConflict', `The consent is already ${consent.status}.`);
      },
    },
  );

  for (;;) {
    if (savedRevision < consent.revision) {
      const { revision } = consent;
      await recordConsent(offer, consent);
      wf.upsertSearchAttributes([{ key: STATE_ATTRIBUTE, value: consent.status }]);
      savedRevision = revision;
    } else if (isOver(consent) || wf.workflowInfo().continueAsNewSuggested) {
      if (wf.allHandlersFinished()) {
        return isOver(consent) ? consent : wf.continueAsNew<typeof consentWorkflow>(offer, consent);
      }
      await wf.condition(() => wf.allHandlersFinished() || savedRevision < consent.revision);
    } else {
      const changed = () => savedRevision < consent.revision || wf.workflowInfo().continueAsNewSuggested;
      const inTime = await wf.condition(changed, msUntilExpiry(consent, Date.now()));
      if (!inTime) consent = expired(consent);
    }
  }
}
