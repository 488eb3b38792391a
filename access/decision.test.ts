import fc from 'fast-check';
import { ACCESS_METHODS, type AccessFacts } from '../contracts/access';
import { decideAccess } from './decision';
import { isWithinHours } from './visiting-hours';

const NOW = 1_800_000_000_000;
const HOUR = 3_600_000;
/** Around the clock on one day of the week: it is Friday. */
const on = (day: number, rightKind: string | null = null) => ({
  timeZone: 'UTC',
  windows: [{ rightKind, days: [day], fromMinute: 0, toMinute: 0 }],
});
/** Two weeks after a letter's end. */
const GRACE = 14 * 24 * HOUR;

/** Everything in order: by face, so that every check has something to say. */
const good: AccessFacts = {
  nowMs: NOW,
  method: 'face',
  device: { status: 'active' },
  resident: { status: 'active' },
  rights: [{ kind: 'owner', startsAtMs: NOW - HOUR, endsAtMs: null }],
  hours: on(5),
  consent: { status: 'granted', expiresAtMs: NOW + HOUR },
  attestedUntilMs: NOW + HOUR,
  billing: { standing: 'paid', asOfMs: NOW },
  lockedUntilMs: null,
  policy: { billingMaxAgeMs: 24 * HOUR },
};

const instant = fc.oneof(
  fc.integer({ min: -2 * 24 * HOUR, max: 2 * 24 * HOUR }).map((offset) => NOW + offset),
  fc.constantFrom(NOW, NOW - 1, NOW + 1, NaN, Infinity, -Infinity),
);
const minute = fc.integer({ min: 0, max: 1439 });
const anyHours = fc.record({
  timeZone: fc.constantFrom('UTC', 'Europe/Moscow', 'Nowhere/At-All'),
  windows: fc.array(
    fc.record({
      rightKind: fc.constantFrom(null, 'owner', 'guest'),
      days: fc.subarray([1, 2, 3, 4, 5, 6, 7]),
      fromMinute: minute,
      toMinute: minute,
    }),
    { maxLength: 4 },
  ),
});
const anyFacts: fc.Arbitrary<AccessFacts> = fc.record({
  nowMs: fc.constant(NOW),
  method: fc.constantFrom(...ACCESS_METHODS),
  device: fc.option(fc.record({ status: fc.constantFrom('active', 'blocked', 'removed') })),
  resident: fc.option(fc.record({ status: fc.constantFrom('active', 'blocked', 'erased') })),
  rights: fc.array(
    fc.record({ kind: fc.constantFrom('owner', 'guest'), startsAtMs: instant, endsAtMs: fc.option(instant) }),
    { maxLength: 3 },
  ),
  hours: fc.option(anyHours),
  consent: fc.option(
    fc.record({ status: fc.constantFrom('offered', 'granted', 'withdrawn', 'expired'), expiresAtMs: instant }),
  ),
  attestedUntilMs: fc.option(fc.oneof(instant, fc.constantFrom(NOW - GRACE, NOW - GRACE + 1))),
  billing: fc.oneof(
    fc.constantFrom('not-asked' as const, 'unavailable' as const),
    fc.record({ standing: fc.constantFrom('paid' as const, 'unpaid' as const), asOfMs: instant }),
  ),
  lockedUntilMs: fc.option(instant),
  policy: fc.constant({ billingMaxAgeMs: 24 * HOUR }),
});

/** What must be so for a door to open, said once more and otherwise: as a list of statements about the facts. */
function everyConditionHolds(facts: AccessFacts): boolean {
  const { billing, consent, lockedUntilMs, method } = facts;
  const statements = [
    facts.device?.status === 'active',
    facts.resident?.status === 'active',
    facts.rights.some(
      // One right that has all of it: that another one is in force within its hours is of no use to this one.
      ({ kind, startsAtMs: from, endsAtMs: to }) =>
        from <= NOW && (to === null || to > NOW) && isWithinHours(facts.hours, kind, NOW),
    ),
    method !== 'face' || (consent?.status === 'granted' && consent.expiresAtMs > NOW),
    method !== 'face' || (facts.attestedUntilMs !== null && facts.attestedUntilMs + GRACE > NOW),
    typeof billing === 'object' && billing.standing === 'paid',
    typeof billing === 'object' && billing.asOfMs >= NOW - 24 * HOUR && billing.asOfMs <= NOW + 60_000,
    method === 'app' || method === 'relay' || lockedUntilMs === null || lockedUntilMs <= NOW,
  ];
  return statements.every(Boolean);
}

describe('the access decision', () => {
  it('allows when every condition holds, and only then, whatever the combination of states', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => (decideAccess(facts).kind === 'allow') === everyConditionHolds(facts)),
      { numRuns: 20_000 },
    );
  });

  it('never allows what it would deny with one condition better, and is total', () => {
    const worse: ((facts: AccessFacts) => AccessFacts)[] = [
      (facts) => ({ ...facts, device: null }),
      (facts) => ({ ...facts, resident: null }),
      (facts) => ({ ...facts, rights: [] }),
      (facts) => ({ ...facts, hours: on(4) }),
      (facts) => ({ ...facts, billing: 'unavailable' }),
      (facts) => ({ ...facts, method: 'face', consent: null }),
      (facts) => ({ ...facts, method: 'face', attestedUntilMs: null }),
      (facts) => ({ ...facts, method: 'face', lockedUntilMs: NOW + 1 }),
    ];
    fc.assert(
      fc.property(anyFacts, fc.constantFrom(...worse), (facts, spoil) => {
        expect(decideAccess(spoil(facts)).kind).toBe('deny');
      }),
    );
  });

  it('asks billing only when nothing else stands in the way', () => {
    fc.assert(
      fc.property(anyFacts, (facts) => {
        const asked = decideAccess({ ...facts, billing: 'not-asked' }).kind === 'ask-billing';
        return asked === everyConditionHolds({ ...facts, billing: { standing: 'paid', asOfMs: NOW } });
      }),
    );
  });

  it('names the first failed check in the order device, identity, state, right, hours, consent, letter, billing, lockout', () => {
    const failures: [string, Partial<AccessFacts>][] = [
      ['device-unavailable', { device: { status: 'blocked' } }],
      ['identity-unknown', { resident: null }],
      ['resident-inactive', { resident: { status: 'blocked' } }],
      ['no-right', { rights: [] }],
      ['outside-hours', { hours: on(6) }],
      ['consent-missing', { consent: null }],
      ['partner-not-attested', { attestedUntilMs: null }],
      ['service-unpaid', { billing: { standing: 'unpaid', asOfMs: NOW } }],
      ['locked-out', { lockedUntilMs: NOW + 1 }],
    ];
    failures.forEach(([reason], first) => {
      // Identity comes before state: with nobody identified there is no state to fail.
      const later = failures.slice(first).filter(([name]) => name !== 'identity-unknown' || reason === name);
      const facts = later.reduceRight<AccessFacts>((facts, [, change]) => ({ ...facts, ...change }), good);
      expect(decideAccess(facts)).toEqual({ kind: 'deny', reason });
    });
  });

  it.each([
    ['a right begins at its first instant', { rights: [{ kind: 'owner', startsAtMs: NOW, endsAtMs: null }] }, 'allow'],
    ['a right is over at its last', { rights: [{ kind: 'owner', startsAtMs: 0, endsAtMs: NOW }] }, 'deny'],
    ['without hours it is always open', { hours: null }, 'allow'],
    ["the hours of guests do not bind who has an owner's right", { hours: on(4, 'guest') }, 'allow'],
    [
      'a right that is over opens in no hours of its kind',
      {
        hours: on(4, 'guest'),
        rights: [
          { kind: 'owner', startsAtMs: 0, endsAtMs: NOW },
          { kind: 'guest', startsAtMs: 0, endsAtMs: null },
        ],
      },
      'deny',
    ],
    ['a consent is over at its last', { consent: { status: 'granted', expiresAtMs: NOW } }, 'deny'],
    ['a letter counts for two weeks after its end', { attestedUntilMs: NOW - GRACE + 1 }, 'allow'],
    ['and no longer', { attestedUntilMs: NOW - GRACE }, 'deny'],
    ['a lockout is over at its last', { lockedUntilMs: NOW }, 'allow'],
    [
      'an answer of billing may be as old as the policy says',
      { billing: { standing: 'paid', asOfMs: NOW - 24 * HOUR } },
      'allow',
    ],
    ['and no older', { billing: { standing: 'paid', asOfMs: NOW - 24 * HOUR - 1 } }, 'deny'],
    ['an answer from the future is no answer', { billing: { standing: 'paid', asOfMs: NOW + 60_001 } }, 'deny'],
  ] as const)('%s', (_sentence, change, kind) => {
    expect(decideAccess({ ...good, ...change }).kind).toBe(kind);
  });
});
