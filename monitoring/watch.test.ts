import { hashText } from '../journal/head';
import { EMPTY_FRONTIER, grow, leafHash, rootOf, type Frontier } from '../journal/merkle';
import type { EntrySeen, HeadSeen, Observation } from './observation';
import { isOffHours } from './rules/off-hours-export';
import { RULES, watch } from './watch';

/** Saturday, 21 November 2026, 12:00 in Moscow; the Friday before at the same time. */
const SATURDAY = Date.parse('2026-11-21T09:00:00Z');
const FRIDAY = SATURDAY - 86_400_000;
const SECOND = 1_000;
const MINUTE = 60_000;

let seq = 0;
const entry = (atMs: number, rest: Partial<EntrySeen>): EntrySeen => ({
  type: 'entry',
  seq: (++seq).toString(),
  atMs,
  kind: 'exchange',
  integration: 'smart-home',
  objectId: 'o',
  actor: 'vizor',
  outcome: '200',
  reason: null,
  ...rest,
});
const series = (count: number, everyMs: number, make: (atMs: number, index: number) => Observation): Observation[] =>
  Array.from({ length: count }, (_, index) => make(FRIDAY + index * everyMs, index));

const at = (method: string, houseId: string, who: string | null = 'w', accessPointId = 'a') => ({
  opening: { method, houseId, who, accessPointId },
});
const nobody = (atMs: number, accessPointId = 'a') =>
  entry(atMs, {
    kind: 'opening',
    outcome: 'denied',
    reason: 'identity-unknown',
    ...at('face', 'h', null, accessPointId),
  });
const entered = (atMs: number, houseId: string, method = 'face', who: string | null = 'w') =>
  entry(atMs, { kind: 'opening', outcome: 'opened', ...at(method, houseId, who) });
/** Two houses of one street, one across the city, one in another city. */
const PLACES = {
  h1: { latitude: 55.751, longitude: 37.618 },
  next: { latitude: 55.752, longitude: 37.619 },
  across: { latitude: 55.9, longitude: 37.45 },
  petersburg: { latitude: 59.939, longitude: 30.316 },
};
const enteredAt = (atMs: number, houseId: keyof typeof PLACES) =>
  entry(atMs, {
    kind: 'opening',
    outcome: 'opened',
    opening: { method: 'face', houseId, who: 'w', accessPointId: 'a', place: PLACES[houseId] },
  });
const refusal = (atMs: number, outcome: string, reason: string, actor = 'stranger', objectId = 'net') =>
  entry(atMs, { kind: 'refusal', outcome, reason, actor, objectId });
const check = (atMs: number, outcome: string) => entry(atMs, { kind: 'plugin-token-check', outcome });
const notThere = (atMs: number, asked = 'a', rest: Partial<EntrySeen> = {}) =>
  entry(atMs, { outcome: '404', reason: `openDoorByFace ${asked}`, ...rest });
const staff = (atMs: number, reason: string) => entry(atMs, { actor: 'staff/m', integration: null, reason });

/** Heads of a tree that grows by these many leaves each time, as the sealer signs them. */
function heads(...grown: number[]): HeadSeen[] {
  let frontier: Frontier = EMPTY_FRONTIER;
  let leaves: Buffer[] = [];
  let previous: HeadSeen['previous'] = null;
  return grown.map((count, turn) => {
    const more = Array.from({ length: count }, (_, index) =>
      leafHash(Buffer.from(`${turn.toString()}/${index.toString()}`)),
    );
    for (const leaf of more) frontier = grow(frontier, leaf).frontier;
    // Of one leaf that becomes two, and two that become four, the proof is the right half.
    const [left, right] = [leaves, more];
    const proof =
      left.length === 0 ? [] : [rootOf(right.reduce((tree, leaf) => grow(tree, leaf).frontier, EMPTY_FRONTIER))];
    leaves = [...leaves, ...more];
    const head: HeadSeen = {
      type: 'head',
      atMs: FRIDAY + turn * MINUTE,
      treeSize: frontier.size,
      rootHash: hashText(rootOf(frontier)),
      previous: previous && { ...previous, consistencyProof: proof.map(hashText) },
    };
    previous = { treeSize: head.treeSize, rootHash: head.rootHash, consistencyProof: [] };
    return head;
  });
}
const grown = heads(1, 1, 2);
const [first, second, third] = grown as [HeadSeen, HeadSeen, HeadSeen];
const other = { ...second, rootHash: 'ab'.repeat(32) };

const FIRES: readonly [rule: string, why: string, seen: Observation[], about: string][] = [
  ['guessing', 'eight unknown faces at a device in five minutes', series(8, 30 * SECOND, (ms) => nobody(ms)), 'a'],
  [
    'guessing',
    'ten tokens of a partner that are none',
    series(10, 20 * SECOND, (ms) => check(ms, 'not-valid')),
    'vizor',
  ],
  ['replay', 'one message that came before', [refusal(FRIDAY, 'replayed', '1 ', 'kluch')], 'kluch'],
  [
    'credential-stuffing',
    'five names from one network',
    [refusal(FRIDAY, 'credentials', '3 a,b,c'), refusal(FRIDAY + MINUTE, 'credentials', '2 d,e')],
    'net',
  ],
  [
    'credential-stuffing',
    'very many tries',
    series(10, 10 * SECOND, (ms) => refusal(ms, 'credentials', '20 a')),
    'net',
  ],
  [
    'impossible-travel',
    'a face at two houses within a minute',
    [entered(FRIDAY, 'h1'), entered(FRIDAY + MINUTE, 'h2')],
    'w',
  ],
  [
    'impossible-travel',
    'a plate at two houses within a minute, the second time denied',
    [
      entered(FRIDAY, 'h1', 'plate'),
      entry(FRIDAY + MINUTE, { kind: 'opening', outcome: 'denied', reason: 'no-right', ...at('plate', 'h2') }),
    ],
    'w',
  ],
  [
    'impossible-travel',
    'a face across the city within five minutes',
    [enteredAt(FRIDAY, 'h1'), enteredAt(FRIDAY + 5 * MINUTE, 'across')],
    'w',
  ],
  [
    'impossible-travel',
    'a face in another city within half an hour',
    [enteredAt(FRIDAY, 'h1'), enteredAt(FRIDAY + 30 * MINUTE, 'petersburg')],
    'w',
  ],
  ['off-hours-export', 'payloads read on a Saturday', [staff(SATURDAY, 'decodePayloads')], 'staff/m'],
  [
    'off-hours-export',
    'opening after opening looked at by night',
    series(30, MINUTE, (ms) => staff(ms + 12 * 60 * MINUTE, 'getStaffOpening')),
    'staff/m',
  ],
  ...['getLogExportPart', 'downloadCredential', 'readJournalExport', 'getSignedJournalExport'].map(
    (read): (typeof FIRES)[number] => ['off-hours-export', `${read} on a Saturday`, [staff(SATURDAY, read)], 'staff/m'],
  ),
  ...['getAccessReview', 'getAttestationLetterFile', 'getStaffErasureCertificatePaper'].map(
    (read): (typeof FIRES)[number] => [
      'off-hours-export',
      `${read} again and again by night`,
      series(10, MINUTE, (ms) => staff(ms + 12 * 60 * MINUTE, read)),
      'staff/m',
    ],
  ),
  ['outside-houses', 'five devices that are not its own', series(5, MINUTE, (ms) => notThere(ms)), 'vizor'],
  [
    'clock-drift',
    'a process that is three seconds off',
    [{ type: 'clock', atMs: FRIDAY, of: 'worker-core', skewMs: -3_000 }],
    'worker-core',
  ],
  [
    'clock-drift',
    'signatures of another time',
    series(3, MINUTE, (ms) => refusal(ms, 'signature-time', '1 ', 'kluch')),
    'kluch',
  ],
  [
    'journal-head',
    'a head that names another past',
    [first, { ...second, previous: { ...third, consistencyProof: [] } }],
    'journal',
  ],
  ['journal-head', 'a head whose proof does not lead to it', [first, other], 'journal'],
  ['journal-head', 'a head that is smaller than the last', [first, second, first], 'journal'],
  ['journal-head', 'another root of the same size', [second, other], 'journal'],
  [
    'journal-head',
    'a sealing that refuses to sign',
    [entry(FRIDAY, { kind: 'alarm', objectId: 'journal', outcome: 'not-signed' })],
    'journal',
  ],
];

const QUIET: readonly [rule: string, why: string, seen: Observation[]][] = [
  ['guessing', 'seven unknown faces', series(7, 30 * SECOND, (ms) => nobody(ms))],
  ['guessing', 'unknown faces now and then', series(30, MINUTE, (ms) => nobody(ms))],
  ['guessing', 'unknown faces at many devices', series(30, SECOND, (ms, index) => nobody(ms, `a${index.toString()}`))],
  [
    'guessing',
    'denials of people who are known',
    series(30, SECOND, (ms) =>
      entry(ms, { kind: 'opening', outcome: 'denied', reason: 'service-unpaid', ...at('face', 'h') }),
    ),
  ],
  ['guessing', 'tokens that are good', series(30, SECOND, (ms) => check(ms, 'valid'))],
  [
    'replay',
    'a request that is repeated with its key',
    series(5, SECOND, (ms) => entry(ms, { reason: 'openDoorByFace' })),
  ],
  [
    'credential-stuffing',
    'a client that keeps an old secret',
    series(10, 30 * SECOND, (ms) => refusal(ms, 'credentials', '3 a')),
  ],
  [
    'credential-stuffing',
    'names from one network, an hour apart',
    series(5, 60 * MINUTE, (ms) => refusal(ms, 'credentials', `2 a${ms.toString()},b`)),
  ],
  ['impossible-travel', 'a face at one house again and again', series(5, SECOND, (ms) => entered(ms, 'h1'))],
  [
    'impossible-travel',
    'a face at the house next door within a minute',
    [enteredAt(FRIDAY, 'h1'), enteredAt(FRIDAY + MINUTE, 'next')],
  ],
  [
    'impossible-travel',
    'a face across the city a quarter of an hour later, and in another city after a flight',
    [enteredAt(FRIDAY, 'h1'), enteredAt(FRIDAY + 15 * MINUTE, 'across'), enteredAt(FRIDAY + 75 * MINUTE, 'petersburg')],
  ],
  ['impossible-travel', 'a face at another house later', [entered(FRIDAY, 'h1'), entered(FRIDAY + 3 * MINUTE, 'h2')]],
  [
    'impossible-travel',
    'an app that opens at two houses: it can be anywhere',
    [entered(FRIDAY, 'h1', 'app'), entered(FRIDAY + 1, 'h2', 'app')],
  ],
  [
    'impossible-travel',
    'two who are nobody',
    [entered(FRIDAY, 'h1', 'face', null), entered(FRIDAY + 1, 'h2', 'face', null)],
  ],
  ['off-hours-export', 'payloads read on a Friday at noon', [staff(FRIDAY, 'decodePayloads')]],
  [
    'off-hours-export',
    'a night shift that looks at a few openings',
    series(10, MINUTE, (ms) => staff(ms + 12 * 60 * MINUTE, 'getStaffOpening')),
  ],
  [
    'off-hours-export',
    'an export that was refused',
    [entry(SATURDAY, { actor: 'staff/m', reason: 'decodePayloads', outcome: '403' })],
  ],
  ['outside-houses', 'a device that was taken away', series(4, MINUTE, (ms) => notThere(ms))],
  [
    'outside-houses',
    'the app, which asks for everybody',
    series(30, SECOND, (ms) => notThere(ms, 'a', { integration: null, actor: 'app' })),
  ],
  [
    'clock-drift',
    'a process that is one second off',
    [{ type: 'clock', atMs: FRIDAY, of: 'worker-core', skewMs: 1_000 }],
  ],
  ['clock-drift', 'one message that was long on its way', [refusal(FRIDAY, 'signature-time', '1 ', 'kluch')]],
  ['journal-head', 'heads that extend each other, and the same one again', [...grown, third]],
];

const kindsOf = (seen: readonly Observation[]): string[] => watch({}, seen).found.map(({ kind }) => kind);

describe('monitoring of the journal', () => {
  it('has an example that fires and one that stays quiet for every rule', () => {
    const kinds = RULES.map(({ kind }) => kind).toSorted();
    expect([...new Set(FIRES.map(([rule]) => rule))].toSorted()).toEqual(kinds);
    expect([...new Set(QUIET.map(([rule]) => rule))].toSorted()).toEqual(kinds);
  });

  it.each(FIRES)('%s fires: %s', (rule, _why, seen, about) => {
    const { found } = watch({}, seen);
    expect(found.map(({ kind, objectId }) => [kind, objectId])).toEqual([[rule, about]]);
    const entries = seen.flatMap((one) => (one.type === 'entry' ? [one.seq] : []));
    if (rule !== 'journal-head') expect(entries).toEqual(expect.arrayContaining([...(found[0]?.evidence ?? [])]));
  });

  it.each(QUIET)('%s stays quiet: %s', (_rule, _why, seen) => {
    expect(kindsOf(seen)).toEqual([]);
  });

  it.each(FIRES)('%s finds the same over two turns, its memory written down in between: %s', (rule, _why, seen) => {
    const inTwo = (now: readonly Observation[]): void => {
      for (let cut = 0; cut <= seen.length; cut++) {
        const before = watch({}, [...seen.slice(0, cut), ...now]);
        const written = JSON.parse(JSON.stringify(before.memories)) as typeof before.memories;
        const after = watch(written, [...seen.slice(cut), ...now]);
        expect([...before.found, ...after.found].map(({ kind }) => kind)).toContain(rule);
      }
    };
    inTwo([]);
    // The stream is a month behind: what every turn sees as it is now makes no rule forget.
    const monthLater = FRIDAY + 30 * 86_400_000;
    inTwo([{ type: 'clock', atMs: monthLater, of: 'worker-core', skewMs: 0 }]);
    inTwo([entry(monthLater, { kind: 'alarm', outcome: 'sealed-late' })]);
  });

  it('suspends a partner that goes through ids, for an hour', () => {
    const search = (count: number) => series(count, SECOND, (ms, index) => notThere(ms, `id${index.toString()}`));
    expect(watch({}, search(39)).found).toMatchObject([{ kind: 'outside-houses', objectId: 'vizor' }]);
    expect(watch({}, search(39)).found[0]?.suspend).toBeUndefined();
    expect(watch({}, search(40)).found[0]?.suspend).toEqual({ clientId: 'vizor', forMs: 3_600_000 });
    const slowly = series(60, MINUTE, (ms, index) => notThere(ms, `id${index.toString()}`));
    expect(watch({}, slowly).found[0]?.suspend).toBeUndefined();
  });

  it('suspends nobody else: neither for what a stranger could cause, nor for an entrance that we do not list yet', () => {
    const often = series(50, SECOND, (ms) => notThere(ms));
    const { found } = watch({}, often);
    expect(found).toMatchObject([{ kind: 'outside-houses', times: 46 }]);
    const entrance = series(300, SECOND, (ms, index) => notThere(ms, `id${(index % 30).toString()}`));
    const all = [often, entrance, ...FIRES.map(([, , seen]) => seen)].flatMap((seen) => watch({}, seen).found);
    expect(all.filter(({ suspend }) => suspend)).toEqual([]);
  });

  it('is bounded: a flood of names and numbers leaves a memory of limited size', () => {
    let memories = {};
    for (let turn = 0; turn < 5; turn++) {
      const flood = series(1_000, 1, (ms, index) => nobody(ms, `a${(turn * 1_000 + index).toString()}`));
      ({ memories } = watch(memories, flood));
    }
    const flood = series(1_000, 1, (ms) => notThere(ms));
    const { memories: after } = watch(memories, flood);
    expect(JSON.stringify(after).length).toBeLessThan(300_000);
  });

  it('says when it has to forget what it may still need: more people than it remembers came within an hour', () => {
    const crowd = (count: number) =>
      series(count, SECOND, (ms, index) => entered(ms, 'h1', 'plate', `who${index.toString()}`));
    expect(watch({}, crowd(2_000)).forgotten).toEqual([]);
    expect(watch({}, crowd(2_003)).forgotten).toEqual([{ kind: 'impossible-travel', count: 3 }]);
    // Who came more than an hour ago is not missed.
    expect(watch({}, [...crowd(2_000), entered(FRIDAY + 10 * 3_600_000, 'h1')]).forgotten).toEqual([]);
  });

  it('knows the hours of the company by its own clock, not by that of the machine', () => {
    expect(isOffHours(Date.parse('2026-11-20T04:59:00Z'))).toBe(true); // 07:59 in Moscow
    expect(isOffHours(Date.parse('2026-11-20T05:00:00Z'))).toBe(false);
    expect(isOffHours(Date.parse('2026-11-20T17:00:00Z'))).toBe(true); // 20:00
    expect(isOffHours(SATURDAY)).toBe(true);
  });
});
