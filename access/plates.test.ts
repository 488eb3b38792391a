import fc from 'fast-check';
import { normalizePlate, PLATE_REFUSALS, type PlateKind } from './plates';

const LETTERS = Array.from('АВЕКМНОРСТУХ');
const LATIN = Array.from('ABEKMHOPCTYX');
const DIGITS = Array.from('0123456789');
const FIRST_DIGITS = DIGITS.slice(1);

const kindOf = (text: string) => {
  const reading = normalizePlate(text);
  return reading.ok ? reading.plate.kind : reading.reason;
};
const canonicalOf = (text: string) => {
  const reading = normalizePlate(text);
  return reading.ok ? reading.plate.canonical : reading.reason;
};

describe('reading a plate', () => {
  it.each<[string, PlateKind]>([
    ['А123ВС77', 'passenger'],
    ['А123ВС777', 'passenger'],
    ['М001ММ01', 'passenger'],
    ['АВ12377', 'taxi'],
    ['АВ1234777', 'trailer'],
    ['АВ123477', 'taxi-or-trailer'],
    ['АВ123002', 'trailer'], // 002 is no region
    ['АВ000177', 'trailer'], // 000 is no number
    ['АВ123177', 'taxi-or-trailer'],
    ['1234АВ77', 'motorcycle-or-military'],
    ['1234АВ199', 'motorcycle-or-military'],
    ['А123477', 'police'],
    ['А1234777', 'police'],
    ['123А77', 'police-trailer'],
    ['123А777', 'police-trailer'],
    ['1234А77', 'police-motorcycle'],
  ])('%s is of the form %s', (text, kind) => {
    expect(normalizePlate(text)).toEqual({ ok: true, plate: { kind, canonical: text } });
  });

  it.each([
    ['in Latin letters', 'A123BC77'],
    ['in small letters', 'а123вс77'],
    ['in small Latin letters', 'a123bc77'],
    ['in both alphabets', 'А123BС77'],
    ['with spaces', ' А 123 ВС 77 '],
    ['with spaces that do not break', 'А\u00A0123\u202FВС 77'],
    ['with hyphens and dots', 'А-123-ВС.77'],
    ['with dashes', 'А–123—ВС‑77'],
    ['as a square plate in two lines', 'А123\nВС77'],
    ['with the country', 'А123ВС 77 RUS'],
    ['with the country in Cyrillic', 'а123вс77рус'],
    ['with the region apart', 'А123ВС|77'],
    ['in full width', 'Ａ１２３ＢＣ７７'],
  ])('takes the same plate %s', (_how, text) => {
    expect(canonicalOf(text)).toBe('А123ВС77');
  });

  it.each([
    ['', 'empty'],
    [' - . ', 'empty'],
    ['RUS', 'empty'],
    ['А123ВС7', 'unknown-form'],
    ['А12', 'wrong-length'],
    ['А123ВС7777', 'wrong-length'],
    [`А123ВС77${' '.repeat(100)}`, 'wrong-length'],
    ['Д123ВС77', 'letter-not-in-alphabet'],
    ['А123ВЯ77', 'letter-not-in-alphabet'],
    ['Z123BC77', 'letter-not-in-alphabet'],
    ['А123ВÇ77', 'letter-not-in-alphabet'],
    ['А123ВС77!', 'unexpected-character'],
    ['А123ВС٧٧', 'unexpected-character'],
    ['А1😀3ВС77', 'unexpected-character'],
    ["А123ВС77' OR 1=1", 'unexpected-character'],
    ['А000ВС77', 'number-is-zero'],
    ['АВ00077', 'number-is-zero'],
    ['0000АВ77', 'number-is-zero'],
    ['А000077', 'number-is-zero'],
    ['А123ВС00', 'unknown-region'],
    ['А123ВС000', 'unknown-region'],
    ['А123ВС100', 'unknown-region'],
    ['А123ВС077', 'unknown-region'],
    ['123456', 'unknown-form'],
    ['АВСЕНК', 'unknown-form'],
    ['А123В77', 'unknown-form'],
    ['АВ123С77', 'transit'],
    ['ТАВ123777', 'transit'],
    ['004D00177', 'diplomatic'],
    ['004CD177', 'diplomatic'],
    ['004T00177', 'diplomatic'],
  ])('refuses %j because of %s', (text, reason) => {
    expect(normalizePlate(text)).toEqual({ ok: false, reason });
  });

  it('does not take the digit 0 and the letter О for each other', () => {
    expect(kindOf('0123ВС77')).toBe('motorcycle-or-military');
    expect(kindOf('О123ВС77')).toBe('passenger');
    expect(kindOf('АО123ВС77')).not.toBe('passenger');
  });

  it('takes every region code of two digits and every longer one that an order may add before it', () => {
    const codes = Array.from({ length: 99 }, (_, index) => (index + 1).toString().padStart(2, '0'));
    for (const code of codes) {
      for (const first of ['', ...FIRST_DIGITS])
        expect(canonicalOf(`А123ВС${first}${code}`)).toBe(`А123ВС${first}${code}`);
    }
  });
});

const letter = fc.constantFrom(...LETTERS);
const region = fc
  .tuple(fc.constantFrom('', ...FIRST_DIGITS), fc.integer({ min: 1, max: 99 }))
  .map(([first, code]) => first + code.toString().padStart(2, '0'));
const number = (digits: number) =>
  fc.integer({ min: 1, max: 10 ** digits - 1 }).map((value) => value.toString().padStart(digits, '0'));

/** Plates as the standard writes them: what stands before the region, then the region. */
const plate = fc.oneof(
  ...[
    fc.tuple(letter, number(3), letter, letter),
    fc.tuple(letter, letter, number(3)),
    fc.tuple(letter, letter, number(4)),
    fc.tuple(number(4), letter, letter),
    fc.tuple(letter, number(4)),
    fc.tuple(number(3), letter),
    fc.tuple(number(4), letter),
  ].map((serial) => fc.tuple(serial, region).map(([parts, code]) => [...parts, code].join(''))),
);

/** The same plate as people and cameras write it. */
const spelling = (canonical: string) =>
  fc
    .tuple(
      fc.array(
        fc.record({
          latin: fc.boolean(),
          small: fc.boolean(),
          after: fc.constantFrom('', '', ' ', '-', '.', '\u00A0'),
        }),
        { minLength: canonical.length, maxLength: canonical.length },
      ),
      fc.constantFrom('', 'RUS', ' rus', ' РУС'),
    )
    .map(([ways, country]) => {
      const written = Array.from(canonical, (character, index) => {
        const { latin, small, after } = ways[index] ?? { latin: false, small: false, after: '' };
        const alike = latin ? (LATIN[LETTERS.indexOf(character)] ?? character) : character;
        return (small ? alike.toLowerCase() : alike) + after;
      });
      return written.join('') + country;
    });

describe('whatever comes', () => {
  it('is read or refused with a listed reason, and never throws', () => {
    const noise = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: fc.constantFrom(...LETTERS, ...LATIN, ...DIGITS, ...Array.from(' -.DRUS')) }),
    );
    fc.assert(
      fc.property(noise, (text) => {
        const reading = normalizePlate(text);
        if (reading.ok) expect(reading.plate.canonical).toMatch(/^[АВЕКМНОРСТУХ0-9]{6,9}$/);
        else expect(PLATE_REFUSALS).toContain(reading.reason);
      }),
      { numRuns: 2_000 },
    );
  });

  it('is read the same when it is read again', () => {
    fc.assert(
      fc.property(fc.oneof(plate, fc.string()), (text) => {
        const reading = normalizePlate(text);
        if (reading.ok) expect(normalizePlate(reading.plate.canonical)).toEqual(reading);
      }),
    );
  });

  it('is the same plate in every spelling, for every plate of the standard', () => {
    const both = plate.chain((canonical) => fc.tuple(fc.constant(canonical), spelling(canonical)));
    fc.assert(
      fc.property(both, ([canonical, written]) => {
        expect(canonicalOf(written)).toBe(canonical);
      }),
      { numRuns: 1_000 },
    );
  });

  it('is another plate, or none, when one character is another one', () => {
    const changed = fc
      .tuple(plate, fc.nat(), fc.constantFrom(...LETTERS, ...DIGITS))
      .map(([canonical, at, character]) => {
        const place = at % canonical.length;
        return { canonical, text: canonical.slice(0, place) + character + canonical.slice(place + 1) };
      })
      .filter(({ canonical, text }) => canonical !== text);
    fc.assert(
      fc.property(changed, ({ canonical, text }) => {
        expect(canonicalOf(text)).not.toBe(canonical);
      }),
    );
  });

  it('is refused with a foreign letter in any place of a plate', () => {
    const spoilt = fc
      .tuple(plate, fc.nat(), fc.constantFrom(...Array.from('БГДЖЗИЛПФЦЧШЩЫЭЮЯFGIJLNQRVWZ')))
      .map(([text, at, foreign]) => {
        const place = at % (text.length - 1); // not at the end, where "R" might begin a country
        return text.slice(0, place) + foreign + text.slice(place + 1);
      });
    fc.assert(
      fc.property(spoilt, (text) => {
        expect(['letter-not-in-alphabet', 'diplomatic']).toContain(canonicalOf(text));
      }),
    );
  });

  it('is refused when its region is none', () => {
    const nowhere = fc.tuple(
      letter,
      number(3),
      letter,
      letter,
      fc.constantFrom('00', '000', '100', '900', '077', '001'),
    );
    fc.assert(
      fc.property(nowhere, (parts) => {
        expect(canonicalOf(parts.join(''))).toBe('unknown-region');
      }),
    );
  });
});
