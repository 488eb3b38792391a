import { randomBytes } from 'node:crypto';
import { createEntryAuthenticator, isByCommand, type EntryContent } from './authenticity';

const [old, fresh] = [randomBytes(32), randomBytes(32)];
const authenticator = createEntryAuthenticator({ keys: new Map([['k.1', old]]), currentId: 'k.1' });
const content: EntryContent = {
  integration: 'smart-home',
  kind: 'opening',
  objectId: 'o-1',
  actor: 'app',
  outcome: 'opened',
  reason: null,
  subject: 's',
  sealed: Buffer.from('details'),
};
const written = (change: Partial<EntryContent> & { at?: Date; mac?: string | null } = {}) => ({
  ...content,
  at: new Date(),
  mac: authenticator.macOf(content),
  ...change,
});

test('only what the command notes of itself goes without a code', () => {
  const noted = { ...content, kind: 'log-reading', outcome: 'by-command', mac: null };
  expect(isByCommand(noted)).toBe(true);
  for (const other of [{ kind: 'opening' }, { outcome: 'opened' }, { mac: 'k.1...' }]) {
    expect(isByCommand({ ...noted, ...other })).toBe(false);
  }
});

describe('the code of an entry', () => {
  it('says that a process wrote it, and is another one each time', () => {
    expect(authenticator.isAuthentic(written())).toBe(true);
    expect(authenticator.macOf(content)).not.toBe(authenticator.macOf(content));
  });

  it.each<[string, Parameters<typeof written>[0]]>([
    ['in another integration', { integration: null }],
    ['of another kind', { kind: 'consent' }],
    ['about another object', { objectId: 'o-2' }],
    ['by another actor', { actor: null }],
    ['with another outcome', { outcome: 'denied' }],
    ['with a reason', { reason: '' }],
    ['about another person', { subject: null }],
    ['with other details', { sealed: Buffer.from('Details') }],
    ['at a time at which it was not written', { at: new Date(Date.now() - 3_700_000) }],
    ['at a time that is yet to come', { at: new Date(Date.now() + 3_700_000) }],
    ['with no code', { mac: null }],
    ['with an empty code', { mac: '' }],
    ['with a code that is none', { mac: 'k.1...' }],
  ])('is not that of an entry %s', (_what, change) => {
    expect(authenticator.isAuthentic(written(change))).toBe(false);
  });

  it.each([0, 1, 2, 3, 4])('is no other with its part %i changed', (index) => {
    const mac = authenticator.macOf(content).split('.');
    const changed = (mac[index] ?? '').replace(/^./, (first) => (first === '2' ? '3' : '2'));
    expect(authenticator.isAuthentic(written({ mac: mac.with(index, changed).join('.') }))).toBe(false);
  });

  it('is believed after the key was changed, as long as the old one is listed', () => {
    const entry = written();
    const ring = (...keys: [string, Buffer][]) => createEntryAuthenticator({ keys: new Map(keys), currentId: 'k2' });
    expect(ring(['k2', fresh], ['k.1', old]).isAuthentic(entry)).toBe(true);
    expect(ring(['k2', fresh]).isAuthentic(entry)).toBe(false);
    expect(ring(['k2', fresh], ['k.1', fresh]).isAuthentic(entry)).toBe(false);
  });
});
