import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { PHOTO_REASONS } from './photo-quality';

/** Where a fault can be put. `*` is every incoming endpoint; `webhooks` is what the partner sends. */
export const ENDPOINTS = [
  'token',
  'open',
  'face-vectors',
  'faces',
  'face-state',
  'face-deletions',
  'plates',
  'plate-state',
  'equipment',
  'credentials',
  'webhooks',
  '*',
] as const;
export type Endpoint = Exclude<(typeof ENDPOINTS)[number], '*'>;

/** Before the effect: nothing has happened when the caller hears of it. */
const BEFORE = ['delay', 'hang', 'throttle', 'error', 'rate', 'reset', 'unauthorized'] as const;
/** The effect is made; its answer is lost or spoilt. */
const AFTER = [
  'lost-answer',
  'garbage',
  'wrong-type',
  'oversized',
  'slow-body',
  'wrong-signature',
  'unsigned',
] as const;
/** The effect itself is another one. */
const BENDING = ['confirm-but-keep', 'confirm-and-hold', 'pending', 'refuse-photo'] as const;
const ELSEWHERE = ['expired-certificate', 'duplicate-webhook'] as const;
/** Now one fault and now another, drawn by a seed. */
const DRAWN = ['mixed'] as const;
export const FAULT_KINDS = [...BEFORE, ...AFTER, ...BENDING, ...ELSEWHERE, ...DRAWN] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** What the control port takes; the README says what each member means to each fault. */
export const NewFault = z
  .strictObject({
    endpoint: z.enum(ENDPOINTS),
    fault: z.enum(FAULT_KINDS),
    /** How often it strikes; `null` is until it is removed. */
    times: z.int().positive().nullable().default(null),
    /** It strikes one call in so many: the `every`th, the `2·every`th, … */
    every: z.int().positive().optional(),
    delayMs: z.int().min(0).max(3_600_000).optional(),
    retryAfterS: z.int().min(0).max(86_400).optional(),
    status: z.int().min(500).max(599).optional(),
    bytes: z
      .int()
      .positive()
      .max(1024 ** 3)
      .optional(),
    reason: z.enum(PHOTO_REASONS).optional(),
    /** What `mixed` is drawn from, and what it is drawn by: the same seed is the same row of faults. */
    among: z
      .array(z.enum([...BEFORE, ...AFTER]))
      .min(1)
      .optional(),
    seed: z.int().optional(),
  })
  .refine(({ fault, among, seed }) => (fault === 'mixed') === (among !== undefined && seed !== undefined), {
    path: ['among'],
    message: 'and seed come with mixed, and only with it',
  })
  .refine(({ endpoint, fault }) => fault !== 'expired-certificate' || endpoint === '*', {
    path: ['endpoint'],
    message: 'a certificate belongs to the whole port: use *',
  })
  .refine(({ endpoint, fault }) => fault !== 'duplicate-webhook' || endpoint === 'webhooks', {
    path: ['endpoint'],
    message: 'only webhooks can be sent twice',
  });
export type NewFault = z.infer<typeof NewFault>;
export type Fault = NewFault & { readonly id: string; readonly seen: number; readonly struck: number };

export type Faults = {
  add(fault: NewFault): Fault;
  list(): readonly Fault[];
  remove(id: string): Fault | undefined;
  clear(): readonly Fault[];
  /** The faults that strike this call, in the order they were added; counts it. */
  strike(endpoint: Endpoint): readonly Fault[];
};

/** Faults are kept in memory: a restart heals. */
export function createFaults(): Faults {
  const faults = new Map<string, Fault>();
  return {
    add: (fault) => {
      const added = { ...fault, id: randomUUID(), seen: 0, struck: 0 };
      faults.set(added.id, added);
      return added;
    },
    list: () => [...faults.values()],
    remove: (id) => {
      const fault = faults.get(id);
      faults.delete(id);
      return fault;
    },
    clear: () => {
      const all = [...faults.values()];
      faults.clear();
      return all;
    },
    strike: (endpoint) => {
      const striking: Fault[] = [];
      for (const fault of faults.values()) {
        if (fault.endpoint !== endpoint && (fault.endpoint !== '*' || endpoint === 'webhooks')) continue;
        if (fault.times !== null && fault.struck >= fault.times) continue;
        const seen = fault.seen + 1;
        const kind = kindFor(fault, seen);
        const counted = { ...fault, seen, struck: fault.struck + (kind === null ? 0 : 1) };
        faults.set(fault.id, counted);
        if (kind !== null) striking.push({ ...counted, fault: kind });
      }
      return striking;
    },
  };
}

/** @returns what strikes the `seen`th call, if anything does */
function kindFor({ fault, every = fault === 'rate' || fault === 'mixed' ? 3 : 1, seed, among }: Fault, seen: number) {
  if (fault !== 'mixed') return seen % every === 0 ? fault : null;
  // One call of each so many, which of them and how both by the seed.
  const row = Math.floor((seen - 1) / every);
  const drawn = createHash('sha256')
    .update(JSON.stringify([seed, row]))
    .digest();
  const kinds = among ?? [];
  const strikes = (seen - 1) % every === drawn.readUInt32BE(0) % every;
  return strikes ? (kinds[drawn.readUInt32BE(4) % kinds.length] ?? null) : null;
}

export function isBefore({ fault }: Fault): boolean {
  return BEFORE.some((each) => each === fault);
}
export function isAfter({ fault }: Fault): boolean {
  return AFTER.some((each) => each === fault);
}
