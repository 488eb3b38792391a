/**
 * Russian licence plates as text (docs/adr/0010-plates.md, GOST R 50577-2018). Which vehicle it is is decided by the
 * characters alone; separators, case and the look-alike letters of two alphabets are ways of writing the same plate.
 */

/** Forms that a resident's vehicle may carry, by how their characters follow each other. */
export type PlateKind =
  | 'passenger'
  | 'taxi'
  | 'trailer'
  /** Two letters and six digits are a taxi of a three-digit region or a trailer of a two-digit one. */
  | 'taxi-or-trailer'
  /** Motorcycles, mopeds and tractors, and military vehicles, which are written alike. */
  | 'motorcycle-or-military'
  | 'police'
  | 'police-trailer'
  | 'police-motorcycle';

export type Plate = {
  readonly kind: PlateKind;
  /** Capital Cyrillic letters and digits, nothing between them: what is sealed, indexed and passed to partners. */
  readonly canonical: string;
};

export const PLATE_REFUSALS = [
  'empty',
  'unexpected-character',
  'letter-not-in-alphabet',
  'wrong-length',
  'unknown-form',
  'number-is-zero',
  'unknown-region',
  'transit',
  'diplomatic',
] as const;
export type PlateRefusal = (typeof PLATE_REFUSALS)[number];

export type PlateReading =
  { readonly ok: true; readonly plate: Plate } | { readonly ok: false; readonly reason: PlateRefusal };

/** The twelve letters of plates by the Latin ones that look the same. */
const LATIN_LOOK_ALIKES: Readonly<Record<string, string>> = {
  A: 'А',
  B: 'В',
  E: 'Е',
  K: 'К',
  M: 'М',
  H: 'Н',
  O: 'О',
  P: 'Р',
  C: 'С',
  T: 'Т',
  Y: 'У',
  X: 'Х',
};

/** Longer than any spelling of a plate with its separators; more is not looked at. */
const LONGEST_TEXT = 40;
const SHORTEST_PLATE = 6;
const LONGEST_PLATE = 9;

const SEPARATORS = /[\s\p{Pd}._·•|/]/gu;
/** As printed under the region. Every form ends in digits, so this takes nothing from a plate. */
const COUNTRY = /(?:RUS|РУС)$/u;

type Form = { readonly kind: PlateKind; readonly shape: RegExp };

const LETTER = '[АВЕКМНОРСТУХ]';
const form = (kind: PlateKind, serial: string): Form => ({
  kind,
  shape: new RegExp(`^${serial.replaceAll('L', LETTER)}(?<region>\\d{2,3})$`, 'u'),
});

/** Types 1, 1A · 1Б · 2, 6 · 3, 4, 4А, 5, 7, 8 · 20 · 21 · 22; the region follows each. */
const FORMS: readonly Form[] = [
  form('passenger', 'L(?<number>\\d{3})LL'),
  form('taxi', 'LL(?<number>\\d{3})'),
  form('trailer', 'LL(?<number>\\d{4})'),
  form('motorcycle-or-military', '(?<number>\\d{4})LL'),
  form('police', 'L(?<number>\\d{4})'),
  form('police-trailer', '(?<number>\\d{3})L'),
  form('police-motorcycle', '(?<number>\\d{4})L'),
];

/** Types 9–12: 000 CD 0, 000 D 000, 000 T 000. Types 15 and 19: LL 000 L and T LL 000. */
const DIPLOMATIC = /^\d{3}(?:СD\d{3,4}|[DТ]\d{5,6})$/u;
const TRANSIT = new RegExp(`^(?:${LETTER}{2}\\d{3}${LETTER}|Т${LETTER}{2}\\d{3})\\d{2,3}$`, 'u');

/**
 * Reads a plate as somebody typed it or a camera recognized it. What is not surely a plate of a listed form is refused
 * with a reason; nothing is guessed: 0 and О stay different.
 */
export function normalizePlate(text: string): PlateReading {
  if (text.length > LONGEST_TEXT) return refused('wrong-length');
  const canonical = text
    .normalize('NFKC')
    .toUpperCase()
    .replaceAll(SEPARATORS, '')
    .replace(COUNTRY, '')
    .replaceAll(/[A-Z]/g, (letter) => LATIN_LOOK_ALIKES[letter] ?? letter);
  if (canonical === '') return refused('empty');
  if (DIPLOMATIC.test(canonical)) return refused('diplomatic');
  const strange = strangeCharacter(canonical);
  if (strange !== null) return refused(strange);
  if (TRANSIT.test(canonical)) return refused('transit');
  return readForm(canonical);
}

function strangeCharacter(text: string): PlateRefusal | null {
  if (/[^\p{L}0-9]/u.test(text)) return 'unexpected-character';
  return /[^АВЕКМНОРСТУХ0-9]/u.test(text) ? 'letter-not-in-alphabet' : null;
}

/** A text of two forms is refused only when it is neither, with the reason of the first. */
function readForm(canonical: string): PlateReading {
  const readings = FORMS.flatMap(({ kind, shape }) => {
    const groups = shape.exec(canonical)?.groups;
    return groups ? [{ kind, refusal: faultOf(groups['number'] ?? '', groups['region'] ?? '') }] : [];
  });
  const [first] = readings;
  if (!first) {
    const isLikely = canonical.length >= SHORTEST_PLATE && canonical.length <= LONGEST_PLATE;
    return refused(isLikely ? 'unknown-form' : 'wrong-length');
  }
  const kinds = readings.filter(({ refusal }) => refusal === null).map(({ kind }) => kind);
  const [kind] = kinds;
  if (!kind) return refused(first.refusal ?? 'unknown-form');
  return { ok: true, plate: { kind: kinds.length > 1 ? 'taxi-or-trailer' : kind, canonical } };
}

function faultOf(number: string, region: string): PlateRefusal | null {
  if (/^0+$/.test(number)) return 'number-is-zero';
  return isRegion(region) ? null : 'unknown-region';
}

/**
 * 01 to 99 are all given out, and a region that runs out of numbers gets one more digit before its code, any but 0.
 * Which codes were announced is not listed here: the list grows by order of the ministry, and a resident with a new
 * plate must not wait for us.
 */
const isRegion = (region: string): boolean => /^[1-9]?(?!00)\d{2}$/.test(region);

const refused = (reason: PlateRefusal): PlateReading => ({ ok: false, reason });
