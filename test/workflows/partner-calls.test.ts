import { createHash, randomUUID } from 'node:crypto';
import { fetch } from 'undici';
import { startTracing } from '../../config/tracing';
import { readPartnerCall } from '../../journal/partner-calls';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { startTraceCollector, type CollectedSpan } from '../support/trace-collector';
import { until } from '../support/until';
import { breakPartner, mendEverything } from '../support/faults';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const path = `/app/v1/access-points/${vizor.doorId}/openings`;
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const anna = { residentId: RESIDENTS.anna.id };

describe('what we ask of other systems for one request', () => {
  let h: Harness;
  beforeAll(async () => {
    h = await createHarness();
  }, 120_000);
  afterAll(() => h.close());

  const callsOf = async (openingId: string) => {
    const entries = await h.owner.journalEntry.findMany({
      where: { kind: 'partner-call', actor: `open-access/${openingId}` },
      orderBy: { seq: 'asc' },
    });
    return entries.map((entry) => ({ ...entry, ...readPartnerCall(entry) }));
  };

  it('is in the journal with partner, operation, outcome, time and the id of the request, and the partner has one that only the journal leads from', async () => {
    const { body } = await h.app.post(path, anna);
    const openingId = String(body['openingId']);
    const isDone = (call: Awaited<ReturnType<typeof callsOf>>[number]): boolean =>
      call.operation === 'open' && call.outcome === 'ok';
    await until('the calls are written', async () => (await callsOf(openingId)).some(isDone));
    const calls = await callsOf(openingId);
    const ok = { outcome: 'ok', integration: 'smart-home' };
    const commanded = calls.findIndex(isDone);
    expect(calls[0]).toMatchObject({ partnerId: 'billing', operation: 'standing', ...ok });
    expect(calls[commanded]).toMatchObject({ partnerId: 'vizor', operation: 'open', ...ok });
    // The first command of a worker asks for a token, and that is a request of its own.
    const token = calls.findIndex(({ operation, outcome }) => operation === 'token' && outcome === 'ok');
    expect(calls[token]).toMatchObject({ partnerId: 'vizor', ...ok });
    expect(token).toBeLessThan(commanded);
    expect(calls.every(({ durationMs }) => (durationMs ?? 0) > 0)).toBe(true);

    const correlationId = calls[0]?.objectId ?? '';
    expect(new Set(calls.map(({ objectId }) => objectId)).size).toBe(1);
    await until('the request is in the journal under the same id', async () =>
      h.owner.journalEntry
        .findFirst({ where: { kind: 'exchange', objectId: correlationId } })
        .then((entry) => entry?.reason === 'openOnDemand'),
    );
    expect(h.logLines.some((line) => line.includes(correlationId))).toBe(true);
    const received = (await (await fetch(`${h.sandboxControlUrl}/partners/vizor/calls`)).json()) as {
      calls: { endpoint: string; digests: Record<string, string> }[];
    };
    const command = received.calls.findLast(({ endpoint }) => endpoint === 'open');
    expect(command?.digests['header.x-request-id']).toBe(digestOf(calls[commanded]?.toldAs ?? ''));
  });

  it('is there with its failure when the partner fails, once for each try', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'open', fault: 'lost-answer', times: 1 });
    const { body } = await h.app.post(path, anna, randomUUID());
    await mendEverything(h);
    const openingId = String(body['openingId']);
    await until('both tries are written', async () => (await callsOf(openingId)).length >= 3);
    const outcomes = (await callsOf(openingId)).filter(({ partnerId }) => partnerId === 'vizor');
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['PartnerUnavailable', 'ok']);
  });

  it('is one trace from the request through its execution to the partner, which says nothing of anybody and stays with us', async () => {
    const collector = await startTraceCollector();
    const tracing = startTracing('test', {
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER_ARG: 1,
    });
    const { body } = await h.app.post(path, anna, randomUUID());
    const named = (name: string) => collector.spans().find((span) => span.name === name);
    await until('the execution and the request are told of', () =>
      Promise.resolve(named('openAccessWorkflow') !== undefined && named('openOnDemand') !== undefined),
    );
    await tracing.close();
    const [request, execution, call, billing] = ['openOnDemand', 'openAccessWorkflow', 'open', 'standing'].map(named);
    const spans = collector.spans();
    const parentOf = (span?: CollectedSpan) => spans.find(({ spanId }) => spanId === span?.parentSpanId);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(request?.parentSpanId ?? '').toBe('');
    expect(parentOf(execution)).toEqual(request);
    expect(parentOf(parentOf(call))).toEqual(execution);
    expect(parentOf(parentOf(billing))).toEqual(execution);
    const attributes = (span?: CollectedSpan) =>
      Object.fromEntries(span?.attributes.map((a) => [a.key, a.value]) ?? []);
    expect(attributes(call)).toEqual({ 'domovoy.partner': { stringValue: 'vizor' } });
    expect(attributes(execution)).toMatchObject({
      'domovoy.workflow_id': { stringValue: `open-access/${String(body['openingId'])}` },
    });
    expect(collector.received()).not.toContain(anna.residentId);
    const { calls } = (await (await fetch(`${h.sandboxControlUrl}/partners/vizor/calls`)).json()) as {
      calls: { digests: Record<string, string> }[];
    };
    expect(calls.filter(({ digests }) => 'header.traceparent' in digests)).toEqual([]);
    await collector.close();

    await h.app.post(path, anna, randomUUID());
    expect(collector.spans()).toEqual(spans);
  });
});
