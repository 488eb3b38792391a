import { defineQuery, defineSignal } from '@temporalio/workflow';

/** The credential may be in wrong hands: replace it now, and let the old one end without overlap. */
export const revokeCredential = defineSignal('revokeCredential');

export type RotationStage = 'in-use' | 'issuing' | 'delivering' | 'proving' | 'overlapping' | 'retiring';
export const getRotationStage = defineQuery<RotationStage>('getRotationStage');
