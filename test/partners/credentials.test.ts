import { randomUUID } from 'node:crypto';
import { newCredentialValue } from '../../partners/credential-values';
import type { ReplaceableSecret } from '../../partners/ports';
import { newCall, newValues, openDoor } from './calls';
import {
  BASIC_SIGNED,
  MTLS_CERTIFICATE,
  MTLS_PASSWORD,
  OAUTH_CLIENT,
  startTown,
  type Adapter,
  type Town,
} from './town';

let town: Town;
beforeAll(async () => {
  town = await startTown();
});
afterEach(() => town.tidy());
afterAll(() => town.stop());

const CASES: readonly { adapter: Adapter; name: ReplaceableSecret }[] = [
  { adapter: BASIC_SIGNED, name: 'basic-password' },
  { adapter: BASIC_SIGNED, name: 'signing-key' },
  { adapter: OAUTH_CLIENT, name: 'client-secret' },
  { adapter: MTLS_PASSWORD, name: 'password' },
  { adapter: MTLS_PASSWORD, name: 'tls-key' },
  { adapter: MTLS_CERTIFICATE, name: 'tls-key' },
];

describe.each(CASES)('replacing $name at $adapter.name', ({ adapter, name }) => {
  /** A gateway whose secret of that name can be exchanged while it works, as the store does. */
  async function house() {
    let current: string | undefined;
    let first = '';
    const build = () =>
      town.gateway(adapter, {
        secrets: (stored) => async (wanted) => {
          const value = await stored(wanted);
          if (wanted !== name) return value;
          first = value;
          return current ?? value;
        },
      });
    let gateway = await build();
    const opened = async () => (await openDoor(gateway, newValues(adapter), newCall())) as { result: string };
    await opened();
    const issue = async () => {
      const id = `ours-${randomUUID()}`;
      return { name, id, value: await newCredentialValue(name, id) };
    };
    const use = async (value: string): Promise<void> => {
      current = value;
      // Tokens are bound to the certificate: another one takes another gateway, as gateways.ts has it.
      if (name === 'tls-key') gateway = await build();
    };
    return { credentials: () => gateway.credentials, issue, opened, first, use };
  }

  test('old and new are valid side by side, then the new one alone, and no call fails', async () => {
    const { credentials, issue, opened, first, use } = await house();
    const next = await issue();
    expect(await credentials().check(next, newCall())).toBe('refused');
    const value = await credentials().add(next, newCall());
    expect(await credentials().check({ name, value }, newCall())).toBe('accepted');
    expect(await credentials().check({ name, value: first }, newCall())).toBe('accepted');
    await use(value);
    expect(await opened()).toMatchObject({ result: 'opened' });
    await credentials().retireOthers({ name, keep: next.id }, newCall());
    expect(await credentials().check({ name, value: first }, newCall())).toBe('refused');
    expect(await opened()).toMatchObject({ result: 'opened' });
    // As it was, for the next test.
    const id = name === 'signing-key' ? 'domovoy-1' : `ours-${randomUUID()}`;
    if (name === 'tls-key') await town.acceptFirstCertificate(id);
    else await credentials().add({ name, id, value: first }, newCall());
  });

  test('an answer that was lost and is asked for again adds one', async () => {
    const { credentials, issue } = await house();
    const next = await issue();
    const call = newCall();
    await town.break(adapter, { endpoint: 'credentials', fault: 'lost-answer', times: 1 });
    await expect(credentials().add(next, call)).rejects.toMatchObject({ type: 'PartnerUnavailable' });
    await credentials().add(next, call);
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'credential-add', attempts: 2 }]);
  });

  test('what came of the first time, handed over once more by one who died after that, changes nothing', async () => {
    const { credentials, issue } = await house();
    const next = await issue();
    const call = newCall();
    const value = await credentials().add(next, call);
    expect(await credentials().add({ ...next, value }, call)).toBe(value);
    expect(await credentials().check({ name, value }, newCall())).toBe('accepted');
    expect(await town.effects(adapter, call.idempotencyKey)).toMatchObject([{ kind: 'credential-add' }]);
  });

  test('one that the partner does not know cannot be kept alone', async () => {
    const { credentials, issue, opened } = await house();
    const keep = (await issue()).id;
    await expect(credentials().retireOthers({ name, keep }, newCall())).rejects.toMatchObject({
      type: 'PartnerRejected',
    });
    expect(await opened()).toMatchObject({ result: 'opened' });
  });
});
