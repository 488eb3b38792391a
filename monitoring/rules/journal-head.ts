import { hashOfText } from '../../journal/head';
import { verifyConsistency } from '../../journal/merkle';
import type { HeadSeen } from '../observation';
import type { Rule } from '../rule';

const LAST = 'last';

/**
 * A signed head that does not extend the last one that was seen here, or a sealing that refuses to sign (R0.11). The
 * last one is remembered apart from the journal's tables, so that rewriting those does not rewrite it.
 */
export const journalHead: Rule = {
  kind: 'journal-head',
  severity: 'critical',
  quietMs: 3_600_000,
  reachMs: Number.POSITIVE_INFINITY,
  step(memory, seen) {
    if (seen.type === 'entry') {
      if (seen.kind !== 'alarm' || seen.objectId !== 'journal') return undefined;
      const evidence = [seen.seq];
      return { scope: 'sealing', objectId: 'journal', integration: null, evidence };
    }
    if (seen.type !== 'head') return undefined;
    const [last] = memory.get(LAST) ?? [];
    if (last && !extendsLast(seen, { treeSize: Number(last.value), rootHash: last.ref })) {
      const evidence = [`head ${last.value ?? ''}`, `head ${seen.treeSize.toString()}`];
      return { scope: 'head', objectId: 'journal', integration: null, evidence };
    }
    memory.set(LAST, [{ atMs: seen.atMs, ref: seen.rootHash, value: seen.treeSize.toString() }]);
    return undefined;
  },
};

/** Whether the head's own proof leads from what was seen to it (RFC 9162, section 2.1.4). */
function extendsLast(head: HeadSeen, last: { readonly treeSize: number; readonly rootHash: string }): boolean {
  if (head.treeSize === last.treeSize) return head.rootHash === last.rootHash;
  const { previous } = head;
  if (previous?.treeSize !== last.treeSize || previous.rootHash !== last.rootHash) return false;
  return verifyConsistency(
    { size: last.treeSize, root: hashOfText(last.rootHash) },
    { size: head.treeSize, root: hashOfText(head.rootHash) },
    previous.consistencyProof.map(hashOfText),
  );
}
