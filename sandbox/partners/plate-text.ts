/** Cyrillic letters of Russian plates and the Latin ones they are printed like. */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  А: 'A',
  В: 'B',
  Е: 'E',
  К: 'K',
  М: 'M',
  Н: 'H',
  О: 'O',
  Р: 'P',
  С: 'C',
  Т: 'T',
  У: 'Y',
  Х: 'X',
};

/** Whether two readings are the same plate: case, separators and look-alike letters do not matter. */
export function samePlate(a: string, b: string): boolean {
  return plain(a) === plain(b);
}

function plain(plate: string): string {
  return plate
    .toUpperCase()
    .replace(/[\s.-]/g, '')
    .replace(/[А-Я]/g, (letter) => LOOK_ALIKES[letter] ?? letter);
}
