import { z } from 'zod';
import { House } from './custody';

const Text = z.string().min(1);
const Port = z.int().min(0).max(65_535);
const Pem = Text.regex(/-----BEGIN /);

/** A certificate and its key, PEM. Given as `certFile` and `keyFile` they are read from those files. */
const Certificate = z.strictObject({ cert: Pem, key: Pem });

const Basic = z.strictObject({ id: Text.optional(), username: Text, password: Text });
const Key = z.strictObject({ id: Text.optional(), keyid: Text, publicKey: Text });
const Client = z.strictObject({
  clientId: Text,
  secrets: z.array(z.strictObject({ id: Text.optional(), secret: Text })),
});

const common = {
  port: Port,
  /** Origin under which the port is called; `https://localhost:<port>` unless given. */
  publicUrl: z.url({ protocol: /^https$/ }).optional(),
  /** Presented while the fault `expired-certificate` is on. */
  expired: Certificate.optional(),
  houses: z.array(House),
};

/** Configuration of the partner simulator; every `x` may be given as `xFile` (see sandbox/README.md). */
export const PartnersConfig = z.strictObject({
  dataDir: Text,
  host: z.string().default('127.0.0.1'),
  controlPort: Port,
  /** How long an enrollment takes at the partners with custody. */
  processingMs: z.int().min(0).default(300),
  /** Ed25519 keys that sign exports of each partner's log. */
  logExportKeys: z.strictObject({ kluch: Text, vizor: Text, shlagbaum: Text }).optional(),
  company: z.strictObject({
    baseUrl: z.url(),
    tokenUrl: z.url(),
    /** The company's `/partner/v1` URL, for which tokens are asked. */
    resource: z.url(),
    /** Where the company publishes the keys of its answers to `kluch`, which then believes no other; left out: any. */
    messageKeysUrl: z.url().optional(),
    ca: Pem,
  }),
  partners: z.strictObject({
    kluch: z.strictObject({
      ...common,
      tls: Certificate,
      accepts: z.strictObject({ basic: z.array(Basic), keys: z.array(Key) }),
      /** Its own signing key, for its answers and its calls. */
      signing: z.strictObject({ keyid: Text, privateKey: Text }),
      atCompany: z.strictObject({ username: Text, password: Text }),
      /** Further `host:port` forms that may stand in a request's `Host`, behind a proxy for instance. */
      authorities: z.array(Text).default([]),
    }),
    vizor: z.strictObject({
      ...common,
      tls: Certificate,
      accepts: z.strictObject({ clients: z.array(Client) }),
      atCompany: z.strictObject({ clientId: Text, clientSecret: Text }),
    }),
    shlagbaum: z.strictObject({
      ...common,
      tls: z.strictObject({ cert: Pem, key: Pem, clientCa: Pem }),
      accepts: z.strictObject({
        clientId: Text,
        sanDns: Text,
        accounts: z.array(Basic),
        /** The company's first certificate; without it every one of the authority for `sanDns` is accepted. */
        certificate: Pem.optional(),
      }),
      /** Issues the company's next certificates; without it none is issued. */
      authority: Certificate.optional(),
      atCompany: z.strictObject({ clientId: Text, cert: Pem, key: Pem }),
    }),
  }),
});
export type PartnersConfig = z.infer<typeof PartnersConfig>;
/** As it is written down, before files are read. */
export type PartnersConfigInput = z.input<typeof PartnersConfig>;
