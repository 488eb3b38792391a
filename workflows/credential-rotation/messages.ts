import { defineQuery, defineSignal } from '@temporalio/workflow';

/** The credential may be in wrong hands: replace it now, and let the old one end without overlap. */
export const revokeCredential = defineSignal('revokeCredential');
/** The partner has announced a successor: replace it now, with the usual overlap. */
export const credentialAnnounced = defineSignal('credentialAnnounced');

export type RotationStage = 'in-use' | 'issuing' | 'delivering' | 'proving' | 'overlapping' | 'retiring';
export const getRotationStage = defineQuery<RotationStage>('getRotationStage');
