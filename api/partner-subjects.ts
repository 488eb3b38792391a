import { randomUUID } from 'node:crypto';
import type { Transaction } from '../prisma/database';

/**
 * The resident's tokenized id at one partner, made at its first use: random, and another one at every partner, so that
 * partners cannot link what they hold (R0.10, R3.4).
 */
export async function partnerSubjectToken(
  tx: Transaction,
  subject: { residentId: string; partnerId: string; integration: string },
): Promise<string> {
  await tx.partnerSubject.createMany({ data: [{ ...subject, token: randomUUID() }], skipDuplicates: true });
  const { residentId, partnerId } = subject;
  const row = await tx.partnerSubject.findUniqueOrThrow({ where: { residentId_partnerId: { residentId, partnerId } } });
  return row.token;
}
