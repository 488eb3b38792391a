import fc from 'fast-check';
import { rootByDefinition } from '../test/support/tree-by-definition';
import {
  completeNodes,
  consistencySpans,
  EMPTY_FRONTIER,
  grow,
  inclusionSpans,
  joinPeaks,
  leafHash,
  nodeHash,
  rightSpansAt,
  rootOf,
  verifyConsistency,
  verifyInclusion,
  type Frontier,
  type Hash,
  type Span,
} from './merkle';

/** Leaves, roots and proofs of the reference implementation of RFC 6962 (certificate-transparency, merkletree tests). */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
] as const;
const A = '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7';
const B = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e';
const C = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4';
const D = 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0';
const E = 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b';
const F = '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a';

const hex = (hash: Hash): string => hash.toString('hex');
const bytes = (text: string): Hash => Buffer.from(text, 'hex');
const referenceLeaves = LEAVES.map((leaf) => leafHash(bytes(leaf)));

/** Grows a tree and keeps its complete subtrees, as the database does. */
function treeOf(leaves: readonly Hash[]) {
  const kept = new Map<string, Hash>();
  let tree: Frontier = EMPTY_FRONTIER;
  leaves.forEach((leaf, index) => {
    kept.set(`0/${index.toString()}`, leaf);
    const { frontier, completed } = grow(tree, leaf);
    for (const { id, hash } of completed) kept.set(`${id.level.toString()}/${id.index.toString()}`, hash);
    tree = frontier;
  });
  const hashOf = (span: Span): Hash =>
    joinPeaks(
      completeNodes(span).map(({ level, index }) => {
        const hash = kept.get(`${level.toString()}/${index.toString()}`);
        if (!hash) throw new Error('a complete subtree was not kept');
        return hash;
      }),
    );
  return { frontier: tree, hashOf };
}

const leavesOf = (count: number): Hash[] =>
  Array.from({ length: count }, (_, index) => leafHash(Buffer.from(index.toString())));
const changed = (hash: Hash): Hash => nodeHash(hash, hash);

describe('the tree agrees with the reference implementation of RFC 6962', () => {
  test.each(ROOTS.map((root, size) => ({ size, root })))('on the root of $size leaves', ({ size, root }) => {
    expect(hex(rootOf(treeOf(referenceLeaves.slice(0, size)).frontier))).toBe(root);
  });

  test.each([
    { position: 0, size: 1, path: [] },
    { position: 0, size: 8, path: [A, B, C] },
    { position: 5, size: 8, path: [E, D, ROOTS[4]] },
    { position: 2, size: 3, path: [ROOTS[2]] },
    { position: 1, size: 5, path: [ROOTS[1], B, E] },
  ])('on the inclusion proof of position $position of $size', ({ position, size, path }) => {
    const { hashOf } = treeOf(referenceLeaves.slice(0, size));
    const proof = inclusionSpans(position, size).map(hashOf);
    expect(proof.map(hex)).toEqual(path);
    const leaf = { position, hash: referenceLeaves[position] ?? Buffer.alloc(0) };
    expect(verifyInclusion(leaf, { size, root: bytes(ROOTS[size] ?? '') }, proof)).toBe(true);
  });

  test.each([
    { first: 1, size: 1, path: [] },
    { first: 1, size: 8, path: [A, B, C] },
    { first: 6, size: 8, path: [F, D, ROOTS[4]] },
    { first: 2, size: 5, path: [B, E] },
  ])('on the consistency proof from $first to $size', ({ first, size, path }) => {
    const { hashOf } = treeOf(referenceLeaves.slice(0, size));
    const proof = consistencySpans(first, size).map(hashOf);
    expect(proof.map(hex)).toEqual(path);
    const tree = (count: number) => ({ size: count, root: bytes(ROOTS[count] ?? '') });
    expect(verifyConsistency(tree(first), tree(size), proof)).toBe(true);
  });
});

describe('a tree of any size', () => {
  const size = fc.integer({ min: 1, max: 300 });
  const sizeAndPosition = size.chain((count) => fc.tuple(fc.constant(count), fc.nat({ max: count - 1 })));
  const twoSizes = size.chain((count) => fc.tuple(fc.integer({ min: 0, max: count }), fc.constant(count)));

  test('grown leaf by leaf has the root of the definition', () => {
    fc.assert(
      fc.property(size, (count) => {
        const leaves = leavesOf(count);
        expect(rootOf(treeOf(leaves).frontier)).toEqual(rootByDefinition(leaves));
      }),
    );
  });

  test('proves every leaf at its place, and nothing else', () => {
    fc.assert(
      fc.property(sizeAndPosition, fc.nat(), ([count, position], pick) => {
        const leaves = leavesOf(count);
        const { frontier, hashOf } = treeOf(leaves);
        const tree = { size: count, root: rootOf(frontier) };
        const leaf = { position, hash: leaves[position] ?? Buffer.alloc(0) };
        const path = inclusionSpans(position, count).map(hashOf);
        expect(verifyInclusion(leaf, tree, path)).toBe(true);
        expect(verifyInclusion({ ...leaf, hash: changed(leaf.hash) }, tree, path)).toBe(false);
        expect(verifyInclusion(leaf, { ...tree, root: changed(tree.root) }, path)).toBe(false);
        expect(verifyInclusion({ ...leaf, position: position + count }, tree, path)).toBe(false);
        expect(verifyInclusion(leaf, tree, [...path, leaf.hash])).toBe(false);
        if (path.length === 0) return;
        expect(verifyInclusion(leaf, tree, path.slice(1))).toBe(false);
        const at = pick % path.length;
        expect(verifyInclusion(leaf, tree, path.with(at, changed(path[at] ?? leaf.hash)))).toBe(false);
      }),
    );
  });

  test('proves that it extends every earlier tree, and no other', () => {
    fc.assert(
      fc.property(twoSizes, fc.nat(), ([first, second], pick) => {
        const leaves = leavesOf(second);
        const { frontier, hashOf } = treeOf(leaves);
        const older = { size: first, root: rootByDefinition(leaves.slice(0, first)) };
        const newer = { size: second, root: rootOf(frontier) };
        const path = consistencySpans(first, second).map(hashOf);
        expect(verifyConsistency(older, newer, path)).toBe(true);
        expect(verifyConsistency({ ...older, root: changed(older.root) }, newer, path)).toBe(false);
        expect(verifyConsistency(older, newer, [...path, newer.root])).toBe(false);
        if (first > 0) expect(verifyConsistency(older, { ...newer, root: changed(newer.root) }, path)).toBe(false);
        if (path.length === 0) return;
        const at = pick % path.length;
        expect(verifyConsistency(older, newer, path.with(at, changed(path[at] ?? newer.root)))).toBe(false);
        expect(verifyConsistency(older, newer, path.slice(1))).toBe(false);
      }),
    );
  });

  test('names each inner node once when it is read leaf by leaf', () => {
    fc.assert(
      fc.property(size, (count) => {
        const named = leavesOf(count).flatMap((_, position) => rightSpansAt(position, count));
        expect(named).toHaveLength(count - 1);
        expect(new Set(named.map(({ start }) => start)).size).toBe(count - 1);
      }),
    );
  });

  test('does not take a leaf for a node', () => {
    const [left = Buffer.alloc(0), right = Buffer.alloc(0)] = leavesOf(2);
    expect(leafHash(Buffer.concat([left, right]))).not.toEqual(nodeHash(left, right));
  });
});
