import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Consent } from '../../contracts/consents';

/** Answers when the consent is written down. Repeating it changes nothing. */
export const grantConsent = defineUpdate<Consent>('grantConsent');
/** Answers when the later term is written down. */
export const renewConsent = defineUpdate<Consent>('renewConsent');
/** The resident has withdrawn: the row says so already, this only ends the execution. */
export const consentWithdrawn = defineSignal('consentWithdrawn');
export const getConsent = defineQuery<Consent>('getConsent');
