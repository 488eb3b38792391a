import type { Harness } from './harness';

type Fault = Readonly<Record<string, unknown>>;

/** Puts a fault on one endpoint of a partner; sandbox/README.md lists them. */
export async function breakPartner(h: Harness, partnerId: string, fault: Fault): Promise<void> {
  await control(`${h.sandboxControlUrl}/partners/${partnerId}/faults`, 'POST', fault);
}

/** Changes how a partner behaves where its contract leaves it free. */
export async function configurePartner(h: Harness, partnerId: string, settings: Fault): Promise<void> {
  await control(`${h.sandboxControlUrl}/partners/${partnerId}/settings`, 'PATCH', settings);
}

export async function breakBilling(h: Harness, fault: Fault): Promise<void> {
  await control(`${h.billingControlUrl}/control/fault`, 'PUT', fault);
}

export async function mendEverything(h: Harness): Promise<void> {
  for (const partner of ['kluch', 'vizor', 'shlagbaum']) {
    await control(`${h.sandboxControlUrl}/partners/${partner}/faults`, 'DELETE');
  }
  await control(`${h.billingControlUrl}/control/fault`, 'DELETE');
}

async function control(url: string, method: string, body?: Fault): Promise<void> {
  const init = body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {};
  const answer = await fetch(url, { method, ...init });
  if (!answer.ok) throw new Error(`The sandbox refused: ${answer.status.toString()} ${await answer.text()}`);
}
