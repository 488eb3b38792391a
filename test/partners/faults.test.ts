import type { PartnerGateway } from '../../partners/ports';
import { until } from '../support/until';
import { callsOf, listEquipment, newCall, newValues, openDoor, type CallCase } from './calls';
import { failureOf } from './tls-partner';
import { ADAPTERS, BASIC_SIGNED, MTLS_CERTIFICATE, startTown, type Adapter, type Town } from './town';

/** What an attempt may take that gets no whole answer, milliseconds; a partner that is well needs a fraction of it. */
const ATTEMPT_MS = 1_000;
/** None of the calls that hang gives its socket back before all are taken, however long that takes. */
const PATIENT_MS = 60_000;

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterEach(() => town.tidy());
afterAll(() => town.stop());

/** A matcher for a failure; Jest types its own matchers as `any`. */
const failing = (type: string, more: object = {}): unknown => expect.objectContaining({ type, ...more });

/** A gateway that has its token, so that what follows is about the call alone. */
async function readyGateway(adapter: Adapter, settings: { timeoutMs?: number } = {}): Promise<PartnerGateway> {
  const gateway = await town.gateway(adapter, { settings });
  await listEquipment(gateway, newValues(adapter), newCall());
  return gateway;
}

/** With whatever grant a token was had, the call that carries it is the same: one of them stands for all. */
const callsToBreak = (adapter: Adapter): readonly CallCase[] =>
  adapter === MTLS_CERTIFICATE ? callsOf(adapter).slice(0, 1) : callsOf(adapter);

const cases = ADAPTERS.flatMap((adapter) =>
  callsToBreak(adapter).map((each): [string, Adapter, CallCase] => [`${adapter.name}, ${each.name}`, adapter, each]),
);

describe.each(cases)('a partner that fails: %s', (_name, adapter, { endpoint, effect, make, answer }) => {
  let gateway: PartnerGateway;
  beforeAll(async () => {
    gateway = await readyGateway(adapter);
  });

  const effectsOf = async (key: string) =>
    (await town.effects(adapter, key)).map(({ kind, attempts }) => ({ kind, attempts }));

  test('a delay within the time is waited for', async () => {
    await town.break(adapter, { endpoint, fault: 'delay', delayMs: 100 });
    expect(await make(gateway, newValues(adapter), newCall())).toEqual(answer);
    expect(await town.struck(adapter)).toBe(1);
  });

  test.each([
    ['breaks off', { fault: 'reset' }, failing('PartnerUnavailable')],
    ['asks to slow down', { fault: 'throttle', retryAfterS: 7 }, failing('PartnerThrottled', { retryAfterMs: 7_000 })],
    ['answers 500', { fault: 'error', status: 500 }, failing('PartnerUnavailable')],
    ['answers 503', { fault: 'error', status: 503 }, failing('PartnerUnavailable')],
    ['refuses credentials also when they are new', { fault: 'unauthorized' }, failing('PartnerUnauthorized')],
  ])('one that %s is named so, and has done nothing', async (_what, fault, failure) => {
    await town.break(adapter, { endpoint, ...fault });
    const values = newValues(adapter);
    const { idempotencyKey } = newCall();
    const first = make(gateway, values, newCall({ idempotencyKey }));
    expect(await failureOf(first)).toEqual(failure);
    expect(await effectsOf(idempotencyKey)).toEqual([]);
    expect(await town.struck(adapter)).toBeLessThanOrEqual(2);
    await town.mend(adapter);
    expect(await make(gateway, values, newCall({ idempotencyKey }))).toEqual(answer);
    expect(await effectsOf(idempotencyKey)).toEqual(effect === null ? [] : [{ kind: effect, attempts: 1 }]);
  });

  test.each([
    ['is lost', 'lost-answer', failing('PartnerUnavailable')],
    ['is garbage', 'garbage', failing('PartnerMisanswered')],
    ['is of another type', 'wrong-type', failing('PartnerMisanswered')],
    ['is without end', 'oversized', failing('PartnerMisanswered')],
  ])('an answer that %s is named so, and the repetition has no second effect', async (_what, fault, failure) => {
    await town.break(adapter, { endpoint, fault, times: 1 });
    const values = newValues(adapter);
    const { idempotencyKey } = newCall();
    const first = make(gateway, values, newCall({ idempotencyKey }));
    expect(await failureOf(first)).toEqual(failure);
    expect(await effectsOf(idempotencyKey)).toEqual(effect === null ? [] : [{ kind: effect, attempts: 1 }]);
    expect(await make(gateway, values, newCall({ idempotencyKey }))).toEqual(answer);
    expect(await effectsOf(idempotencyKey)).toEqual(effect === null ? [] : [{ kind: effect, attempts: 2 }]);
  });

  test('a call that is cancelled ends with the reason of its caller', async () => {
    await town.break(adapter, { endpoint, fault: 'hang' });
    const caller = new AbortController();
    const { idempotencyKey } = newCall();
    const outcome = failureOf(make(gateway, newValues(adapter), newCall({ idempotencyKey, signal: caller.signal })));
    await until('the call is at the partner', async () => (await town.struck(adapter)) === 1);
    const reason = new Error('The activity was cancelled.');
    caller.abort(reason);
    expect(await outcome).toBe(reason);
    expect(await effectsOf(idempotencyKey)).toEqual([]);
  });

  test('a call that is cancelled before it is made is not made', async () => {
    await town.forgetArrivals(adapter);
    const reason = new Error('The activity was cancelled.');
    const cancelled = newCall({ signal: AbortSignal.abort(reason) });
    expect(await failureOf(make(gateway, newValues(adapter), cancelled))).toBe(reason);
    expect(await town.arrivals(adapter)).toEqual([]);
  });

  if (adapter === BASIC_SIGNED) {
    test.each(['wrong-signature', 'unsigned'])('an answer with the fault %s is not believed', async (fault) => {
      await town.break(adapter, { endpoint, fault, times: 1 });
      const values = newValues(adapter);
      const call = newCall();
      expect(await failureOf(make(gateway, values, call))).toEqual(failing('PartnerMisanswered'));
      expect(await make(gateway, values, call)).toEqual(answer);
      expect(await effectsOf(call.idempotencyKey)).toEqual(effect === null ? [] : [{ kind: effect, attempts: 2 }]);
    });
  }
});

describe.each(ADAPTERS)('a partner in trouble: $name', (adapter) => {
  test.each([
    ['never come', 'hang', 1],
    ['come a byte at a time', 'slow-body', 2],
  ])('calls whose answers %s end in time, and their repetitions have one effect', async (_what, fault, attempts) => {
    const gateway = await readyGateway(adapter);
    // One that has been well until now is not left alone for failing at every call once.
    for (let time = 0; time < 10; time += 1) await listEquipment(gateway, newValues(adapter), newCall());
    await town.break(adapter, { endpoint: '*', fault });
    const calls = callsOf(adapter).map((each) => ({ ...each, values: newValues(adapter), ...newCall() }));
    const failures = await Promise.all(
      calls.map(({ make, values, idempotencyKey }) =>
        failureOf(make(gateway, values, newCall({ idempotencyKey, timeoutMs: ATTEMPT_MS }))),
      ),
    );
    expect(failures).toEqual(calls.map(() => failing('PartnerUnavailable')));
    await town.mend(adapter);
    for (const { make, values, idempotencyKey, answer, effect } of calls) {
      expect(await make(gateway, values, newCall({ idempotencyKey }))).toEqual(answer);
      const effects = await town.effects(adapter, idempotencyKey);
      expect(effects).toMatchObject(effect === null ? [] : [{ kind: effect, attempts }]);
    }
  });

  test("no answer ends the call after the profile's own time", async () => {
    const gateway = await town.gateway(adapter, { settings: { timeoutMs: 700 } });
    const isReady = () =>
      listEquipment(gateway, newValues(adapter), newCall()).then(
        () => true,
        () => false,
      );
    await until('the gateway has its token', isReady);
    await town.break(adapter, { endpoint: 'open', fault: 'hang' });
    const beganMs = performance.now();
    expect(await failureOf(openDoor(gateway, newValues(adapter), newCall()))).toEqual(failing('PartnerUnavailable'));
    const tookMs = performance.now() - beganMs;
    expect(tookMs).toBeGreaterThanOrEqual(690);
    expect(tookMs).toBeLessThan(3_000);
  });

  test('of an answer of 100 MB only a little is taken in', async () => {
    const gateway = await readyGateway(adapter);
    await town.forgetArrivals(adapter);
    await town.break(adapter, { endpoint: 'equipment', fault: 'oversized', times: 1 });
    const before = process.memoryUsage().arrayBuffers;
    const flooded = listEquipment(gateway, newValues(adapter), newCall());
    expect(await failureOf(flooded)).toEqual(failing('PartnerMisanswered'));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40_000_000);
    // The partner saw its answer cut off.
    expect(await town.arrivalsAt(adapter, 'equipment', 1)).toMatchObject([{ status: null }]);
  });

  test('a certificate that has run out is not believed: nothing is sent until there is a good one', async () => {
    const gateway = await readyGateway(adapter);
    await town.forgetArrivals(adapter);
    await town.break(adapter, { endpoint: '*', fault: 'expired-certificate' });
    const values = newValues(adapter);
    const call = newCall();
    expect(await failureOf(openDoor(gateway, values, call))).toEqual(failing('PartnerUnreachable'));
    expect(await town.arrivals(adapter)).toEqual([]);
    await town.mend(adapter);
    expect(await openDoor(gateway, values, call)).toMatchObject({ result: 'opened' });
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 1 }]);
  });

  test('one that fails again and again is left alone for a moment', async () => {
    const gateway = await readyGateway(adapter);
    await town.break(adapter, { endpoint: 'open', fault: 'error' });
    const failures: unknown[] = [];
    for (let time = 0; time < 40; time += 1) {
      failures.push(await failureOf(openDoor(gateway, newValues(adapter), newCall())));
    }
    const types = failures.map((failure) => (failure as { type: string }).type);
    const sent = types.filter((type) => type === 'PartnerUnavailable').length;
    expect(sent).toBeGreaterThanOrEqual(5);
    expect(sent).toBeLessThan(20);
    expect(types.slice(sent)).toEqual(Array.from({ length: 40 - sent }, () => 'PartnerUnreachable'));
    expect(await town.struck(adapter)).toBe(sent);
  });

  const other = ADAPTERS.find(({ partner }) => partner.id !== adapter.partner.id) ?? adapter;
  test(`one that hangs, with as many calls as are allowed under way, does not slow ${other.name} down`, async () => {
    const hanging = await readyGateway(adapter, { timeoutMs: PATIENT_MS });
    const well = await readyGateway(other);
    await town.break(adapter, { endpoint: 'open', fault: 'hang' });
    const giveUp = new AbortController();
    let ended = 0;
    const calls = Array.from({ length: 64 }, async () => {
      await failureOf(openDoor(hanging, newValues(adapter), newCall({ signal: giveUp.signal })));
      ended += 1;
    });
    await until('all sockets are taken', async () => (await town.struck(adapter)) === 32);
    expect(await failureOf(openDoor(hanging, newValues(adapter), newCall()))).toEqual(failing('PartnerThrottled'));
    const call = newCall();
    expect(await openDoor(well, newValues(other), call)).toMatchObject({ result: 'opened' });
    expect(await town.effects(other, call.idempotencyKey)).toMatchObject([{ kind: 'open', attempts: 1 }]);
    expect(ended).toBe(0);
    giveUp.abort();
    await Promise.all(calls);
  });
});
