import { z } from 'zod';

/** A device at a served house, as the partner knows it. */
export const Device = z.strictObject({
  id: z.string().min(1).max(100),
  kind: z.enum(['door', 'barrier']),
  name: z.string().max(200),
  online: z.boolean().default(true),
});
export type Device = z.infer<typeof Device>;

/** A served house; `keys` and `fobs` are the ones given out there, an empty list takes any. */
export const House = z.strictObject({
  id: z.string().min(1).max(100),
  devices: z.array(Device),
  keys: z.array(z.string().min(1).max(100)).default([]),
  fobs: z.array(z.string().min(1).max(100)).default([]),
});
export type House = z.infer<typeof House>;

export const EFFECTS = [
  'open',
  'open-expired',
  'face-enroll',
  'face-delete',
  'plate-allow',
  'plate-block',
  'plate-entry',
  'credential-add',
  'credential-retire',
  'credential-own',
] as const;

/** One effect, or the refusal to open late, by the idempotency key it was asked with. */
export const LedgerEntry = z.object({
  key: z.string(),
  kind: z.enum(EFFECTS),
  /** SHA-256 of what was asked, to tell a repeat from another request under the same key. */
  fingerprint: z.string(),
  commandId: z.string().nullable(),
  deviceId: z.string().nullable(),
  /** The company's client id of whose face it is; never a plate. */
  subject: z.string().nullable(),
  houseId: z.string().nullable(),
  at: z.iso.datetime(),
  /** How often it was asked; the effect is one. */
  attempts: z.int(),
  answer: z.object({ status: z.int(), body: z.unknown() }),
});
export type LedgerEntry = z.infer<typeof LedgerEntry>;

export const FACE_STATES = ['processing', 'active', 'rejected', 'deleting', 'deleted'] as const;

/** What a partner with custody holds of one client's face at one house. */
export const HeldFace = z.object({
  clientId: z.string(),
  houseId: z.string(),
  state: z.enum(FACE_STATES),
  reason: z.string().nullable(),
  photoSha256: z.string().nullable(),
  vector: z.array(z.number()).nullable(),
  since: z.iso.datetime(),
  /** When `processing` or `deleting` ends by itself. */
  dueAt: z.iso.datetime().nullable(),
  /** Said to be deleted and kept all the same (fault `confirm-but-keep`). */
  keptSecretly: z.boolean(),
});
export type HeldFace = z.infer<typeof HeldFace>;

export const HeldPlate = z.object({
  houseId: z.string(),
  plate: z.string(),
  held: z.boolean(),
  keptSecretly: z.boolean(),
});
export type HeldPlate = z.infer<typeof HeldPlate>;

export const EVENT_KINDS = ['enrollments', 'deletions', 'key-openings', 'fob-openings'] as const;

/** A webhook to the company, from the moment it is due to its end. */
export const OutgoingEvent = z.object({
  eventId: z.string(),
  kind: z.enum(EVENT_KINDS),
  body: z.record(z.string(), z.unknown()),
  state: z.enum(['waiting', 'delivered', 'refused', 'given-up']),
  attempts: z.int(),
  lastStatus: z.int().nullable(),
});
export type OutgoingEvent = z.infer<typeof OutgoingEvent>;

/** A login at `shlagbaum` and the refresh tokens that came of it, by hash. */
export const LoginFamily = z.object({
  familyId: z.string(),
  username: z.string(),
  certificate: z.string(),
  current: z.string(),
  used: z.array(z.string()),
  expiresAt: z.iso.datetime(),
  ended: z.boolean(),
});
export type LoginFamily = z.infer<typeof LoginFamily>;

/** How the partner behaves where its contract leaves it free; changed on the control port. */
export const Settings = z.strictObject({
  processingMs: z.int().min(0).max(3_600_000),
  /** `manual`: an enrollment stays in processing until the control port ends it. */
  enrollment: z.enum(['automatic', 'manual']),
  /** `always`: also after a deletion that was answered `deleted` at once. */
  deletionWebhooks: z.enum(['pending', 'always']),
});
export type Settings = z.infer<typeof Settings>;

/** A credential of the company's that was added or retired, by itself or on the control port. */
export const CredentialChange = z.discriminatedUnion('change', [
  z.object({
    change: z.literal('add'),
    id: z.string(),
    credential: z.discriminatedUnion('type', [
      z.object({ type: z.literal('password'), username: z.string(), hash: z.string() }),
      z.object({ type: z.literal('secret'), clientId: z.string(), hash: z.string() }),
      z.object({ type: z.literal('key'), keyid: z.string(), publicKey: z.string() }),
      z.object({ type: z.literal('certificate'), clientId: z.string(), thumbprint: z.string() }),
    ]),
  }),
  z.object({ change: z.literal('retire'), id: z.string() }),
]);
export type CredentialChange = z.infer<typeof CredentialChange>;

/** What the partner itself shows the company, as the company has given it. */
export const OwnCredential = z.object({ name: z.enum(['password', 'clientSecret']), value: z.string() });

/** What is written down. One line of the log holds the records of one transaction. */
export const CustodyRecord = z.discriminatedUnion('record', [
  z.object({ record: z.literal('effect'), entry: LedgerEntry }),
  z.object({ record: z.literal('attempt'), key: z.string() }),
  z.object({ record: z.literal('face'), face: HeldFace }),
  z.object({ record: z.literal('plate'), plate: HeldPlate }),
  z.object({ record: z.literal('event'), event: OutgoingEvent }),
  z.object({ record: z.literal('family'), family: LoginFamily }),
  z.object({ record: z.literal('houses'), houses: z.array(House) }),
  z.object({ record: z.literal('settings'), settings: Settings }),
  z.object({ record: z.literal('credential'), credential: CredentialChange }),
  z.object({ record: z.literal('own-credential'), own: OwnCredential }),
]);
export type CustodyRecord = z.infer<typeof CustodyRecord>;
export const CustodyLine = z.array(CustodyRecord);
