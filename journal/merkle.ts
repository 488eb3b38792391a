import { createHash } from 'node:crypto';

/**
 * The Merkle tree of RFC 6962, section 2, with the proofs of RFC 9162, section 2.1; SHA-256. Positions count from 0.
 * Pure: whoever calls brings the hashes that are asked for.
 */

/** 32 bytes. */
export type Hash = Buffer;

/** The leaves `start` to `end - 1`. */
export type Span = { readonly start: number; readonly end: number };

/** A subtree of exactly 2^level leaves that begins at leaf `index * 2^level`: once complete it never changes. */
export type NodeId = { readonly level: number; readonly index: number };

/** The tree so far: the complete subtrees that it falls into, largest first. All that appending has to know. */
export type Frontier = { readonly size: number; readonly peaks: readonly Hash[] };

export const HASH_BYTES = 32;
export const EMPTY_FRONTIER: Frontier = { size: 0, peaks: [] };

const sha256 = (...parts: readonly Uint8Array[]): Hash => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);

export const leafHash = (data: Uint8Array): Hash => sha256(LEAF, data);
export const nodeHash = (left: Uint8Array, right: Uint8Array): Hash => sha256(NODE, left, right);

/** Adds one leaf. @returns the tree after it, and the complete subtrees of two leaves and more that it made */
export function grow(
  { size, peaks }: Frontier,
  leaf: Hash,
): { frontier: Frontier; completed: { id: NodeId; hash: Hash }[] } {
  const left = [...peaks];
  const completed: { id: NodeId; hash: Hash }[] = [];
  let hash = leaf;
  // Each one bit at the end of the size is a subtree as large as what was just completed (RFC 6962, section 2).
  for (let level = 1, rest = size; rest % 2 === 1; level++, rest = Math.floor(rest / 2)) {
    hash = nodeHash(left.pop() ?? hash, hash);
    completed.push({ id: { level, index: Math.floor(size / 2 ** level) }, hash });
  }
  return { frontier: { size: size + 1, peaks: [...left, hash] }, completed };
}

/** The root of the whole tree; of an empty one the hash of nothing (RFC 6962, section 2.1). */
export const rootOf = ({ peaks }: Frontier): Hash => (peaks.length === 0 ? sha256() : joinPeaks(peaks));

/** The complete subtrees that a span falls into, left to right, largest first when it begins at 0. */
export function completeNodes({ start, end }: Span): NodeId[] {
  const nodes: NodeId[] = [];
  for (let at = start; at < end;) {
    let level = 0;
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= end) level++;
    nodes.push({ level, index: at / 2 ** level });
    at += 2 ** level;
  }
  return nodes;
}

/** The hash of a span that is a node of some tree, from the hashes of its {@link completeNodes}. */
export function joinPeaks(hashes: readonly Uint8Array[]): Hash {
  const last = hashes.at(-1);
  if (last === undefined) throw new Error('a node of a tree has at least one leaf');
  return hashes.slice(0, -1).reduceRight<Hash>((right, left) => nodeHash(left, right), Buffer.from(last));
}

/** Where a node of `leaves` leaves is split: the largest power of two below (RFC 6962, section 2.1). */
function splitOf(leaves: number): number {
  let split = 1;
  while (split * 2 < leaves) split *= 2;
  return split;
}

/** The siblings on the way from a leaf to the root, lowest first (RFC 9162, section 2.1.3.1). */
export function inclusionSpans(position: number, size: number): Span[] {
  assertWithin(position, size);
  const siblings: Span[] = [];
  for (let { start, end }: Span = { start: 0, end: size }; end - start > 1;) {
    const middle = start + splitOf(end - start);
    siblings.push(position < middle ? { start: middle, end } : { start, end: middle });
    if (position < middle) end = middle;
    else start = middle;
  }
  return siblings.reverse();
}

/** The nodes that show that the first `first` leaves of a tree are a tree of their own (RFC 9162, section 2.1.4.1). */
export function consistencySpans(first: number, size: number): Span[] {
  if (first === 0 || first === size) return [];
  assertWithin(first - 1, size);
  const spans: Span[] = [];
  let start = 0;
  let end = size;
  for (let whole = true; ;) {
    if (first === end) {
      if (!whole) spans.push({ start, end });
      return spans.reverse();
    }
    const middle = start + splitOf(end - start);
    if (first <= middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
      whole = false;
    }
  }
}

/**
 * The right halves of the nodes whose first leaf is at `position`, largest first. Leaf by leaf, these name every inner
 * node of the tree once: with them a reader who knows the root knows what each leaf must hash to before it comes.
 */
export function rightSpansAt(position: number, size: number): Span[] {
  assertWithin(position, size);
  const spans: Span[] = [];
  for (let { start, end }: Span = { start: 0, end: size }; end - start > 1;) {
    const middle = start + splitOf(end - start);
    if (start === position) spans.push({ start: middle, end });
    if (position < middle) end = middle;
    else start = middle;
  }
  return spans;
}

/** Whether the leaf is at that position of the tree with that root (RFC 9162, section 2.1.3.2). */
export function verifyInclusion(
  leaf: { readonly position: number; readonly hash: Hash },
  tree: { readonly size: number; readonly root: Hash },
  path: readonly Hash[],
): boolean {
  if (!isCount(leaf.position) || !isCount(tree.size) || leaf.position >= tree.size) return false;
  let at = leaf.position;
  let last = tree.size - 1;
  let hash = leaf.hash;
  for (const sibling of path) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else hash = nodeHash(hash, sibling);
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && hash.equals(tree.root);
}

type Tree = { readonly size: number; readonly root: Hash };

/** Whether `second` is `first` with leaves added at its end and nothing else (RFC 9162, section 2.1.4.2). */
export function verifyConsistency(first: Tree, second: Tree, path: readonly Hash[]): boolean {
  if (!isCount(first.size) || !isCount(second.size) || first.size > second.size) return false;
  if (first.size === second.size) return path.length === 0 && first.root.equals(second.root);
  if (first.size === 0) return path.length === 0 && first.root.equals(rootOf(EMPTY_FRONTIER));
  const isPowerOfTwo = Number.isInteger(Math.log2(first.size));
  const [head, ...rest] = isPowerOfTwo ? [first.root, ...path] : path;
  if (!head) return false;
  let at = first.size - 1;
  let last = second.size - 1;
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  let older = head;
  let newer = head;
  for (const sibling of rest) {
    if (last === 0) return false;
    if (at % 2 === 1 || at === last) {
      older = nodeHash(sibling, older);
      newer = nodeHash(sibling, newer);
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
    } else newer = nodeHash(newer, sibling);
    [at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
  }
  return last === 0 && older.equals(first.root) && newer.equals(second.root);
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

function assertWithin(position: number, size: number): void {
  if (!isCount(position) || position >= size) throw new RangeError('The position is not in the tree.');
}
