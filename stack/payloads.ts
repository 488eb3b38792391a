import type { Payload } from '@temporalio/common';

/** Shows every payload in a history, or in a part of one, and puts what comes back in its place. */
export async function mapPayloads(value: unknown, map: (payload: Payload) => Promise<Payload>): Promise<void> {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return;
  for (const [key, member] of Object.entries(value) as [keyof typeof value, unknown][]) {
    if (isPayload(member)) (value as Record<string, unknown>)[key] = await map(member);
    else await mapPayloads(member, map);
  }
}

const isPayload = (value: unknown): value is Payload =>
  value !== null && typeof value === 'object' && 'metadata' in value && 'data' in value;
