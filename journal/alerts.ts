import { createHash, randomUUID } from 'node:crypto';
import type { CallingSeverity, Severity } from '../contracts/security-alerts';
import type { Transaction } from '../prisma/database';
import { appendJournal, type JournalRecord } from './journal';

export type Alert = {
  readonly kind: string;
  /** `low` is in the list and calls nobody. */
  readonly severity: Severity;
  /** What it is about that `kind`: a listed word. */
  readonly scope: string;
  readonly objectId: string;
  readonly integration: string | null;
  readonly until: Date;
  readonly raisedAt: Date;
};

/**
 * Tells staff of something, once for each cause, with its evidence (R0.12, R4.6).
 *
 * @param cause what it is that happened: the same one is told once, however often it is found
 * @returns whether it was told now
 */
export async function raiseAlertOnce(
  tx: Transaction,
  alert: Alert,
  { cause, kind, actor }: { cause: string; kind: JournalRecord['kind']; actor: string },
): Promise<boolean> {
  const id = nameBasedId(`${alert.kind}/${cause}`);
  const { count } = await tx.securityAlert.createMany({ data: [{ id, ...alert }], skipDuplicates: true });
  if (count === 0) return false;
  const { integration, objectId, scope } = alert;
  await appendJournal(tx, { kind, integration, objectId, actor, outcome: 'alert', reason: scope });
  return true;
}

const DAY_MS = 86_400_000;

/**
 * Calls a person (`escalations`), once for each object of a process and each level.
 *
 * @returns whether it was called now: then it is evidence, too
 */
export async function callOnce(
  tx: Transaction,
  {
    integration,
    ...call
  }: {
    readonly process: string;
    readonly objectId: string;
    readonly reason: string;
    readonly level: number;
    readonly integration: string | null;
    readonly raisedAt: Date | string;
  },
): Promise<boolean> {
  const row = { id: randomUUID(), integration: integration ?? 'core', ...call };
  const { count } = await tx.escalation.createMany({ data: [row], skipDuplicates: true });
  return count > 0;
}

/**
 * Tells the security desk of a call to a person (`escalations`), each of which is a cause of its own: nobody has to look
 * at the list of them to hear that something is late.
 */
export async function raiseCall(
  tx: Transaction,
  call: {
    readonly process: string;
    readonly objectId: string;
    readonly reason: string;
    readonly level: number;
    readonly integration: string | null;
    readonly severity: CallingSeverity;
  },
): Promise<void> {
  const { process, objectId, reason, level, integration, severity } = call;
  const raisedAt = new Date();
  const alert = { kind: `${process}-late`, severity, scope: reason, objectId, integration, raisedAt };
  await raiseAlertOnce(
    tx,
    { ...alert, until: new Date(raisedAt.getTime() + DAY_MS) },
    { cause: `${objectId}/${reason}/${level.toString()}`, kind: 'security-alert', actor: `${process}-process` },
  );
}

/** The same cause, the same id (RFC 9562, version 8). */
export function nameBasedId(cause: string): string {
  const bytes = createHash('sha256').update(cause).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
