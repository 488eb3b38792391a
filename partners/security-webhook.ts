import { Webhook } from 'standardwebhooks';
import { PartnerError } from './failure';
import { createPartnerHttp } from './http';

/** The security team's receiver, as the journal names it. */
export const SECURITY_WEBHOOK = 'security-webhook';

/** The security team's receiver. */
export type SecurityWebhook = {
  /** Delivers once; a repeat has the same id and body, so that the receiver can tell it. @throws PartnerError */
  deliver(message: { readonly id: string; readonly body: string }, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
};

/**
 * Sends messages by the Standard Webhooks specification (https://www.standardwebhooks.com): id, time and an HMAC-SHA256
 * over both and the body.
 *
 * @param options.secrets `whsec_…`, the newest first; all of them sign, so that the receiver may change over in its own time
 */
export function createSecurityWebhook(options: {
  readonly url: string;
  readonly caPem: string;
  readonly secrets: readonly string[];
}): SecurityWebhook {
  const http = createPartnerHttp({
    receiver: SECURITY_WEBHOOK,
    caPem: options.caPem,
    timeoutMs: 10_000,
    maxConnections: 2,
  });
  const signers = options.secrets.map((secret) => new Webhook(secret));
  return {
    close: () => http.close(),
    async deliver({ id, body }, signal) {
      const now = new Date();
      const headers = {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': Math.floor(now.getTime() / 1_000).toString(),
        'webhook-signature': signers.map((signer) => signer.sign(id, now, body)).join(' '),
      };
      const request = { method: 'POST', url: new URL(options.url), headers, body: Buffer.from(body) } as const;
      const { status } = await http.send(request, { signal });
      if (status < 200 || status > 299) {
        throw new PartnerError('PartnerUnavailable', 'The receiver of security alerts did not take the message.');
      }
    },
  };
}
