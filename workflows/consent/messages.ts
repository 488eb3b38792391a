import { defineQuery, defineUpdate } from '@temporalio/workflow';
import type { Consent } from '../../contracts/consents';

/** Answers when the consent is written down. Repeating it changes nothing. */
export const grantConsent = defineUpdate<Consent>('grantConsent');
export const getConsent = defineQuery<Consent>('getConsent');
