import { createHash } from 'node:crypto';
import { nodeHash, type Hash } from '../../journal/merkle';

/** The definition of RFC 6962, section 2.1, word for word and slow: what everything else is compared with. */
export function rootByDefinition(leaves: readonly Hash[]): Hash {
  if (leaves.length === 0) return createHash('sha256').digest();
  const [only] = leaves;
  if (leaves.length === 1 && only) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return nodeHash(rootByDefinition(leaves.slice(0, split)), rootByDefinition(leaves.slice(split)));
}
