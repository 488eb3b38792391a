/**
 * The part of an address that one party is likely to hold: /24 of IPv4, /48 of IPv6.
 *
 * @param address as the socket says it: nothing that a request says of itself is believed (`trust proxy` is off), so what
 *   stands in front must keep the client's own (docs/operations.md)
 */
export function networkOf(address: string | undefined): string {
  const plain = (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
  if (/^\d+\.\d+\.\d+\.\d+$/.test(plain)) return plain.split('.').slice(0, 3).join('.');
  return expanded(plain).slice(0, 3).join(':');
}

/** The eight groups of an IPv6 address. */
function expanded(address: string): string[] {
  const [head = '', tail] = address.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0');
  return [...left, ...middle, ...right];
}
