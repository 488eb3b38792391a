import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

/** What operations filter by in the Temporal UI. Never encrypted by Temporal: no id and nothing personal in here. */
export const INTEGRATION_ATTRIBUTE = defineSearchAttributeKey('DomovoyIntegration', SearchAttributeType.KEYWORD);
export const PROCESS_ATTRIBUTE = defineSearchAttributeKey('DomovoyProcess', SearchAttributeType.KEYWORD);
export const STATE_ATTRIBUTE = defineSearchAttributeKey('DomovoyState', SearchAttributeType.KEYWORD);
