import { randomUUID } from 'node:crypto';
import { newCredentialValue } from '../../partners/credential-values';
import type { ReplaceableSecret } from '../../partners/ports';
import { newCall, newValues, openDoor } from './calls';
import { BASIC_SIGNED, MTLS_PASSWORD, OAUTH_CLIENT, startTown, type Adapter, type Town } from './town';

let town: Town;
beforeAll(async () => {
  town = await startTown();
}, 60_000);
afterEach(() => town.tidy());
afterAll(() => town.stop());

const CASES: readonly { adapter: Adapter; name: ReplaceableSecret }[] = [
  { adapter: BASIC_SIGNED, name: 'basic-password' },
  { adapter: BASIC_SIGNED, name: 'signing-key' },
  { adapter: OAUTH_CLIENT, name: 'client-secret' },
  { adapter: MTLS_PASSWORD, name: 'password' },
];

describe.each(CASES)('replacing $name at $adapter.name', ({ adapter, name }) => {
  /** A gateway whose secret of that name can be exchanged while it works, as the store does. */
  async function house() {
    let current: string | undefined;
    let first = '';
    const gateway = await town.gateway(adapter, {
      secrets: (stored) => async (wanted) => {
        const value = await stored(wanted);
        if (wanted !== name) return value;
        first = value;
        return current ?? value;
      },
    });
    const opened = async () => (await openDoor(gateway, newValues(adapter), newCall())) as { result: string };
    await opened();
    const issue = () => {
      const id = `ours-${randomUUID()}`;
      return { name, id, value: newCredentialValue(name, id) };
    };
    return { gateway, issue, opened, first, use: (value: string) => (current = value) };
  }

  test('old and new are valid side by side, then the new one alone, and no call fails', async () => {
    const { gateway, issue, opened, first, use } = await house();
    const next = issue();
    expect(await gateway.credentials.check(next, newCall())).toBe('refused');
    await gateway.credentials.add(next, newCall());
    expect(await gateway.credentials.check(next, newCall())).toBe('accepted');
    expect(await gateway.credentials.check({ name, value: first }, newCall())).toBe('accepted');
    use(next.value);
    expect(await opened()).toMatchObject({ result: 'opened' });
    await gateway.credentials.retireOthers({ name, keep: next.id }, newCall());
    expect(await gateway.credentials.check({ name, value: first }, newCall())).toBe('refused');
    expect(await opened()).toMatchObject({ result: 'opened' });
    // As it was, for the next test.
    const id = name === 'signing-key' ? 'domovoy-1' : `ours-${randomUUID()}`;
    await gateway.credentials.add({ name, id, value: first }, newCall());
  });

  test('an answer that was lost and is asked for again adds one', async () => {
    const { gateway, issue } = await house();
    const next = issue();
    const call = newCall();
    await town.break(adapter, { endpoint: 'credentials', fault: 'lost-answer', times: 1 });
    await expect(gateway.credentials.add(next, call)).rejects.toMatchObject({ type: 'PartnerUnavailable' });
    await gateway.credentials.add(next, call);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'credential-add', attempts: 2 }]);
  });

  test('one that the partner does not know cannot be kept alone', async () => {
    const { gateway, issue, opened } = await house();
    const keep = issue().id;
    await expect(gateway.credentials.retireOthers({ name, keep }, newCall())).rejects.toMatchObject({
      type: 'PartnerRejected',
    });
    expect(await opened()).toMatchObject({ result: 'opened' });
  });
});
