import * as wf from '@temporalio/workflow';
import type { AttestationActivities } from '../../activities/attestation';

const { warnOfAttestations } = wf.proxyActivities<AttestationActivities>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '1 second', maximumInterval: '5 minutes' },
});

/** Run by a schedule: warns of letters of partners that end, and says when biometrics stop (R3.5). */
export async function attestationRoundWorkflow(): Promise<{ warned: number }> {
  return { warned: await warnOfAttestations(new Date().toISOString()) };
}
