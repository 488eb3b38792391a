import { z } from 'zod';

const Text = z.string().min(1);
const Pem = Text.regex(/-----BEGIN /);
const Port = z.int().min(0).max(65_535);

const Account = z.strictObject({
  /** What the ID token calls this person: opaque, and never given to another. */
  subject: z.uuid(),
  username: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
  password: z.string().min(12),
  /** Base32, as authenticator apps take it. Left out: no second step, and the ID token says so. */
  totpSecret: z
    .string()
    .regex(/^[A-Z2-7]{32,}$/)
    .optional(),
  groups: z.array(Text).default([]),
});
export type Account = z.infer<typeof Account>;

/** Configuration of the staff identity provider; every `x` may be given as `xFile` (see sandbox/README.md). */
export const IdentityProviderConfig = z.strictObject({
  /** Its own origin, as browsers and the company reach it. */
  issuer: z.url({ protocol: /^https$/ }),
  host: z.string().default('127.0.0.1'),
  port: Port,
  controlPort: Port,
  tls: z.strictObject({ cert: Pem, key: Pem }),
  client: z.strictObject({
    clientId: Text,
    clientSecret: z.string().min(16),
    redirectUris: z.array(z.url({ protocol: /^https$/ })).min(1),
  }),
  /** Where security events about accounts are sent (RFC 8935), where logouts are, and the authority of both. */
  events: z
    .strictObject({ url: z.url({ protocol: /^https$/ }), logoutUrl: z.url({ protocol: /^https$/ }), ca: Pem })
    .optional(),
  accounts: z.array(Account).min(1),
});
export type IdentityProviderConfig = z.infer<typeof IdentityProviderConfig>;
