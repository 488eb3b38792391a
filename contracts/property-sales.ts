import { z } from 'zod';

export const SALE_STATES = ['scheduled', 'in-force', 'reversed'] as const;
export type SaleState = (typeof SALE_STATES)[number];

/** Argument of the sale's workflow: opaque ids only. */
export type SaleRequest = {
  readonly saleId: string;
  /** When it takes effect (ISO 8601, UTC). */
  readonly effectiveAt: string;
};

/** What a partner has confirmed of what a sale changed; `none`: it had nothing of the residents concerned. */
export type SalePartnerProgress = {
  readonly partnerId: string;
  readonly plates: 'none' | 'settling' | 'settled';
  readonly biometrics: 'none' | 'deleting' | 'deleted';
};

export type SaleProgress = {
  readonly state: SaleState;
  /** Every partner has confirmed what follows from this state. */
  readonly isDone: boolean;
  readonly partners: readonly SalePartnerProgress[];
};

/** What an escalation of a sale gives as its reason; `StepFailed`: a step of our own keeps failing. */
export type SaleObstacle = 'PlatesNotSettled' | 'BiometricsNotDeleted' | 'StepFailed';

/**
 * What a person is called about besides, once for each partner of the house: physical keys and fobs are no one's in our
 * tables, and no partner takes an order about them. They are re-coded by hand (docs/operations.md).
 */
export const KEYS_AND_FOBS = 'KeysAndFobsToRecode';

/** Why a partner has no answer: it could not be told, for a reason of our own. */
export const NOT_TOLD = 'NotTold';

const RegistryReference = z
  .string()
  .regex(/^[\w./:-]{1,64}$/)
  .describe("The registry's own number of the sale: one number names one sale, however often it is reported");

const Residents = (description: string) => z.array(z.uuid()).min(1).max(50).optional().describe(description);

export const PropertySaleReport = z
  .strictObject({
    registryReference: RegistryReference,
    propertyId: z.uuid().describe('The property that was sold'),
    effectiveAt: z.iso
      .datetime({ offset: true })
      .optional()
      .describe('When it takes effect; at once when left out or in the past, at most a year from now'),
    sellers: Residents('Residents whose rights on the property end; everybody’s when left out'),
    buyers: Residents('Residents whose rights on the property are the new ones, and stay'),
  })
  .meta({ id: 'PropertySaleReport' });
export type PropertySaleReport = z.infer<typeof PropertySaleReport>;

export const PropertySaleView = z
  .object({
    saleId: z.uuid(),
    registryReference: z.string(),
    propertyId: z.uuid(),
    state: z.enum(SALE_STATES),
    effectiveAt: z.iso.datetime().describe('By the word of the registry'),
    takenAt: z.iso.datetime().nullable().describe('When the rights ended'),
    reversedAt: z.iso.datetime().nullable(),
    rightsEnded: z.int(),
    rightsRestored: z.int(),
    done: z.boolean().describe('Every partner has confirmed what follows'),
    partners: z.array(
      z.object({
        partnerId: z.string(),
        plates: z.enum(['none', 'settling', 'settled']),
        biometrics: z.enum(['none', 'deleting', 'deleted']),
        told: z.int().describe('How often it was told'),
        lastToldAt: z.iso.datetime().nullable(),
        lastAnswer: z
          .string()
          .nullable()
          .describe('When a person was called last: `ok`, the name of a failure, or `NotTold`'),
        lastAnswerAt: z.iso.datetime().nullable(),
        keysAndFobs: z
          .enum(['none', 'to-recode', 'in-hand'])
          .describe(
            'Physical keys and fobs are re-coded by a person: nobody has taken it in hand yet, or somebody has',
          ),
        escalations: z.int().describe('How often a person was called about it'),
      }),
    ),
  })
  .meta({ id: 'PropertySale', description: 'A sale and what became of it' });
export type PropertySaleView = z.infer<typeof PropertySaleView>;

export const IMPORT_LINES_MAX = 500;
export const IMPORT_MAX_BYTES = 1_000_000;

export const PropertySaleImport = z
  .object({
    lines: z.array(
      z.object({
        line: z.int().describe('Counted from 1; empty lines count and are passed over'),
        status: z.int().describe('What a report of its own would have been answered with'),
        saleId: z.uuid().nullable(),
        problem: z.string().nullable().describe('The type of the problem'),
        errors: z.array(z.object({ field: z.string(), message: z.string() })),
      }),
    ),
  })
  .meta({ id: 'PropertySaleImport', description: 'Each line answered by itself' });
export type PropertySaleImport = z.infer<typeof PropertySaleImport>;
