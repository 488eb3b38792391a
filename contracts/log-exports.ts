import { z } from 'zod';

export const LOG_EXPORT_REASONS = [
  'unauthorized-opening',
  'data-leak-suspected',
  'erased-token-used',
  'guessing',
  'other-incident',
] as const;
/** All that a partner may keep back (R3.6), and no other reason. */
export const WITHHELD_REASONS = ['internal-infrastructure', 'other-customers'] as const;
/** Media type of an export's part, as its signature names it. */
export const LOG_EXPORT_TYPE = 'domovoy-log-export+json';
export const LOG_EXPORT_MAX_PARTS = 1_000;
export const LOG_PART_MAX_ENTRIES = 1_000;
/** A part with as many entries as it may have and the longest keys, in base64url, is 450 kB. */
export const LOG_PART_MAX_BYTES = 512 * 1024;

/** Before partners kept logs for us; PostgreSQL's calendar has no year 0. */
const Instant = z.iso
  .datetime({ abort: true })
  .refine((at) => Date.parse(at) >= Date.UTC(2000, 0), 'lies before anything could have happened');
const LONGEST_SCOPE_MS = 31 * 86_400_000;

export const LogExportProposal = z
  .strictObject({
    reason: z.enum(LOG_EXPORT_REASONS),
    from: Instant,
    to: Instant,
    dueDays: z.int().min(1).max(30).describe('Time that the partner has once it is approved'),
  })
  .refine(({ from, to }) => Date.parse(from) < Date.parse(to), { path: ['to'], message: 'does not come after from' })
  .refine(({ from, to }) => Date.parse(to) - Date.parse(from) <= LONGEST_SCOPE_MS, {
    path: ['to'],
    message: 'is more than 31 days after from',
  })
  .meta({ id: 'LogExportProposal' });

const Part = z.string().regex(/^[\w-]+$/, 'is not base64url');
/** RFC 7515, flattened; the public key is in the header, and has to be the one that was agreed on. */
export const SignedLogPart = z
  .strictObject({ payload: Part, protected: Part, signature: Part })
  .meta({ id: 'SignedLogPart', description: 'A LogPart, signed with the key that was agreed on (EdDSA)' });

const Key = z.string().regex(/^[\x21-\x7e]{1,255}$/);
export const LogEntry = z.strictObject({
  at: Instant,
  /** The Idempotency-Key that our order came with. */
  key: Key,
  event: z.enum(['open', 'enroll', 'delete', 'plate', 'other']),
});
export const Withheld = z.strictObject({
  from: Instant,
  to: Instant,
  entries: z.int().min(1),
  reason: z.enum(WITHHELD_REASONS),
});
export type LogEntry = z.infer<typeof LogEntry>;
export type Withheld = z.infer<typeof Withheld>;

export const LogPart = z.strictObject({
  demandId: z.uuid(),
  part: z.int().min(1).max(LOG_EXPORT_MAX_PARTS),
  parts: z.int().min(1).max(LOG_EXPORT_MAX_PARTS),
  entries: z.array(LogEntry).max(LOG_PART_MAX_ENTRIES),
  withheld: z.array(Withheld).max(100),
});
export type LogPart = z.infer<typeof LogPart>;

export const LogComparison = z
  .object({
    ours: z.int().describe('Orders of ours in the scope that may have reached the partner'),
    matched: z.int(),
    missing: z.array(z.string()).describe('Ours, and in its log not: neither told nor named as withheld'),
    withheld: z.array(z.string()).describe('Ours, within what it named as withheld'),
    unknown: z.array(z.string()).describe('Its log has them, and we ordered none'),
  })
  .meta({ id: 'LogComparison' });
export type LogComparison = z.infer<typeof LogComparison>;

export const LogExportView = z
  .object({
    demandId: z.uuid(),
    partnerId: z.string(),
    reason: z.enum(LOG_EXPORT_REASONS),
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    status: z.enum(['proposed', 'demanded', 'overdue', 'received']),
    requestedBy: z.uuid().nullable(),
    approvedBy: z.uuid().nullable(),
    dueAt: z.iso.datetime().nullable(),
    receivedAt: z.iso.datetime().nullable(),
    parts: z.array(z.object({ part: z.int(), sha256: z.string(), keyId: z.string(), receivedAt: z.iso.datetime() })),
    withheld: z.array(Withheld).nullable(),
    comparison: LogComparison.nullable(),
    custody: z
      .array(z.object({ at: z.iso.datetime(), actor: z.string(), action: z.string(), detail: z.string().nullable() }))
      .describe('Who did what with it, from the tamper-evident journal'),
  })
  .meta({ id: 'LogExport', description: "A demanded part of a partner's logs (R3.6)" });
export type LogExportView = z.infer<typeof LogExportView>;
