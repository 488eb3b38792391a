import type { Transaction } from '../prisma/database';
import { checkHead, type Head } from './head';

/** A row of signed heads that is not what its own document says, or whose document is not signed. */
export class HeadInvalid extends Error {
  override readonly name = 'HeadInvalid';
  readonly treeSize: number;
  constructor(treeSize: number) {
    super(`The signed head at ${treeSize.toString()} entries is not valid.`);
    this.treeSize = treeSize;
  }
}

/** The newest signed head, or the newest of at most that many entries. @throws HeadInvalid */
export async function newestHead(tx: Transaction, most?: number): Promise<Head | null> {
  const where = most === undefined ? {} : { treeSize: { lte: most } };
  const row = await tx.journalHead.findFirst({ where, orderBy: { treeSize: 'desc' } });
  return row === null ? null : headOfRow(row);
}

/** The next signed head of more than `size` entries. @throws HeadInvalid */
export async function headAbove(tx: Transaction, size: number): Promise<Head | null> {
  const row = await tx.journalHead.findFirst({ where: { treeSize: { gt: size } }, orderBy: { treeSize: 'asc' } });
  return row === null ? null : headOfRow(row);
}

function headOfRow(row: { treeSize: bigint; rootHash: Uint8Array; document: unknown }): Head {
  const check = checkHead(row.document);
  const treeSize = Number(row.treeSize);
  if (!check.ok || check.head.treeSize !== treeSize || !check.head.rootHash.equals(Buffer.from(row.rootHash))) {
    throw new HeadInvalid(treeSize);
  }
  return check.head;
}
