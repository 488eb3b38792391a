import { z } from 'zod';

const Text = z.string().min(1);
const Pem = Text.regex(/-----BEGIN /);
export const Standing = z.enum(['paid', 'unpaid']);
export type Standing = z.infer<typeof Standing>;

/** Configuration of billing; every `x` may be given as `xFile` (see sandbox/README.md). */
export const BillingConfig = z.strictObject({
  /** Where standings are kept; made from `accounts` at the first start. */
  dataDir: Text,
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
  controlPort: z.int().min(0).max(65_535),
  tls: z.strictObject({ cert: Pem, key: Pem }),
  /** Bearer secrets that are accepted, several while one is rotated. */
  secrets: z.array(z.string().min(16)).min(1),
  /** Standings by account, then by service. */
  accounts: z.record(Text, z.record(Text, Standing)).default({}),
});
export type BillingConfig = z.infer<typeof BillingConfig>;
/** As it is written down, before files are read. */
export type BillingConfigInput = z.input<typeof BillingConfig>;
