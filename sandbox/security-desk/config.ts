import { z } from 'zod';

const Text = z.string().min(1);
const Pem = Text.regex(/-----BEGIN /);

/** Configuration of the security desk; every `x` may be given as `xFile` (see sandbox/README.md). */
export const SecurityDeskConfig = z.strictObject({
  dataDir: Text,
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
  controlPort: z.int().min(0).max(65_535),
  tls: z.strictObject({ cert: Pem, key: Pem }),
  /** `whsec_…`: what messages are signed with. */
  secret: Text.startsWith('whsec_'),
});
export type SecurityDeskConfig = z.infer<typeof SecurityDeskConfig>;
