import type { DenialReason } from '../contracts/access';

export type PublicReason =
  | 'no-right'
  | 'outside-hours'
  | 'service-unpaid'
  | 'consent-required'
  | 'device-unavailable'
  | 'try-later'
  | 'access-denied';

const FOR_THE_APP: Readonly<Record<DenialReason, PublicReason>> = {
  'device-unavailable': 'device-unavailable',
  'identity-unknown': 'no-right',
  'resident-inactive': 'no-right',
  'no-right': 'no-right',
  'outside-hours': 'outside-hours',
  'consent-missing': 'consent-required',
  'partner-not-attested': 'device-unavailable',
  'service-unpaid': 'service-unpaid',
  'billing-unknown': 'try-later',
  'locked-out': 'try-later',
};

/** What an outside caller may learn of a denial: the app what its resident can act on, a partner that it was one. */
export const publicReason = (reason: DenialReason, audience: 'app' | 'partner'): PublicReason =>
  audience === 'app' ? FOR_THE_APP[reason] : 'access-denied';
