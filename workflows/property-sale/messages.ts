import { defineQuery, defineSignal } from '@temporalio/workflow';
import type { SaleProgress } from '../../contracts/property-sales';

/** The sale was reported or reversed. A hint only: what it is now is asked of the database. */
export const saleChanged = defineSignal('saleChanged');
export const getSaleProgress = defineQuery<SaleProgress>('getSaleProgress');
