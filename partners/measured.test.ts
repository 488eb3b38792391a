import { Registry } from 'prom-client';
import { PartnerError } from './failure';
import { createPartnerMetrics, measured, measuredCall, type PartnerPromise } from './measured';
import type { PartnerGateway } from './ports';

describe('figures of calls to partners', () => {
  const promise = { partnerId: 'vizor', availability: 0.995, latencyMs: 1_500 };
  function measuring(promises: () => Promise<readonly PartnerPromise[]>) {
    const registry = new Registry();
    const metrics = createPartnerMetrics(registry, promises);
    const shown = async (): Promise<string[]> => (await registry.metrics()).split('\n');
    return { metrics, shown };
  }
  const failed = 'domovoy_partner_calls_total{partner="vizor",operation="remove-face",outcome="PartnerUnavailable"}';

  it('show each failure of each operation before there is one: its first is a rise, too', async () => {
    const { metrics, shown } = measuring(() => Promise.resolve([promise]));
    const before = await shown();
    expect(before).toContain(`${failed} 0`);
    expect(before).toContain('domovoy_partner_sla_target{partner="vizor",target="availability"} 0.995');
    expect(before).toContain('domovoy_partner_sla_target{partner="vizor",target="latency_seconds"} 1.5');
    const call = { partnerId: 'vizor', operation: 'remove-face' };
    const failure = new PartnerError('PartnerUnavailable', 'No answer.');
    await expect(measuredCall(call, metrics, () => Promise.reject(failure))).rejects.toBe(failure);
    expect(await shown()).toContain(`${failed} 1`);
  });

  it('stay as they were while the contracts cannot be read, and show calls all the same', async () => {
    const { metrics, shown } = measuring(() => Promise.reject(new Error('no database')));
    metrics.called('vizor', 'remove-face', 'PartnerUnavailable', 10);
    expect(await shown()).toContain(`${failed} 1`);
  });

  it('do not take how soon we gave up for how quick a partner is', async () => {
    const { metrics, shown } = measuring(() => Promise.resolve([]));
    metrics.called('vizor', 'open', 'cancelled', 5);
    metrics.called('vizor', 'open', 'ok', 1_700);
    const lines = await shown();
    expect(lines).toContain('domovoy_partner_call_seconds_count{partner="vizor",operation="open"} 1');
    expect(lines).toContain('domovoy_partner_calls_total{partner="vizor",operation="open",outcome="cancelled"} 1');
  });

  it('come with the key of an order that leaves no row, and of no question', async () => {
    const told: unknown[][] = [];
    const metrics = { called: (...args: unknown[]) => void told.push([args[1], args[2], args[4]]) };
    const custodian = {
      remove: () => Promise.resolve({ state: 'deleted' }),
      enrollmentState: () => Promise.reject(new PartnerError('PartnerUnavailable', 'No answer.')),
    };
    const plates = { allow: () => Promise.resolve(), block: () => Promise.resolve() };
    const made = { partnerId: 'p', biometrics: { custody: 'partner', custodian }, plates, doors: {} };
    const gateway = measured(made as unknown as PartnerGateway, metrics);
    const call = (idempotencyKey: string) => ({ idempotencyKey, signal: new AbortController().signal });
    if (gateway.biometrics.custody !== 'partner') throw new Error('another gateway');
    await gateway.biometrics.custodian.remove({} as never, call('delete/1'));
    await gateway.biometrics.custodian.enrollmentState({} as never, call('delete-state/1')).catch(() => undefined);
    await gateway.plates?.block({} as never, call('block-plate/1'));
    expect(told).toEqual([
      ['remove-face', 'ok', 'delete/1'],
      ['face-state', 'PartnerUnavailable', undefined],
      ['block-plate', 'ok', 'block-plate/1'],
    ]);
  });
});
