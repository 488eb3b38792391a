import { createHash, randomUUID } from 'node:crypto';
import { fetch } from 'undici';
import { readPartnerCall } from '../../journal/partner-calls';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { createHarness, type Harness } from '../support/harness';
import { until } from '../support/until';
import { breakPartner, mendEverything } from '../support/faults';

const vizor = PARTNERS.find(({ id }) => id === 'vizor') as TownPartner;
const path = `/app/v1/access-points/${vizor.doorId}/openings`;
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

  it('is in the journal with partner, operation, outcome, time and the id of the request, and the partner has that id', async () => {
    const { body } = await h.app.post(path, anna);
    const openingId = String(body['openingId']);
    await until('the calls are written', async () => (await callsOf(openingId)).length >= 2);
    const calls = await callsOf(openingId);
    expect(calls).toMatchObject([
      { partnerId: 'billing', operation: 'standing', outcome: 'ok', integration: 'smart-home' },
      { partnerId: 'vizor', operation: 'open', outcome: 'ok', integration: 'smart-home' },
    ]);
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
    expect(command?.digests['header.x-request-id']).toBe(createHash('sha256').update(correlationId).digest('hex'));
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
});
