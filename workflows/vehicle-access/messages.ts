import { defineSignal } from '@temporalio/workflow';

/** The vehicle, or a right that it rests on, has changed. A hint only: what holds now is asked of the database. */
export const vehicleChanged = defineSignal('vehicleChanged');
