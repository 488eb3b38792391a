import { randomUUID } from 'node:crypto';
import type { Harness } from './harness';

/**
 * The partner itself calls us, with its own credentials.
 *
 * @param tampering what the simulator does wrong on purpose, such as `wrong-signature`
 * @returns what our API answered
 */
export async function partnerCall(
  h: Harness,
  partnerId: string,
  call: { readonly path: string; readonly body: object; readonly tampering?: string | undefined },
): Promise<{ status: number }> {
  const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/company-calls`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ idempotencyKey: randomUUID(), ...call }),
  });
  return (await answer.json()) as { status: number };
}
