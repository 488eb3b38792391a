import type { RequestHandler } from 'express';
import { jsonBody, type Operation } from '../operation';
import { requireSignedMessage, type SignedMessageChecks } from './signed-message';
import { requireToken, type TokenChecks } from './token';

/**
 * Lets in a partner in the way of its own profile and in no other: who brings Basic must sign, who brings a token must
 * hold what it is bound to. A client's row says which way is its own, so a partner cannot choose an easier one.
 */
export function requirePartner(
  checks: TokenChecks & SignedMessageChecks,
  { scope, body }: Pick<Operation, 'body'> & { readonly scope: string },
): RequestHandler[] {
  const byToken = requireToken(checks, 'partner', scope);
  const bySignature = requireSignedMessage(checks, scope);
  return [
    // Signatures cover the bytes of the body, so it is read before anybody is believed; its size is bounded.
    jsonBody(body?.kind === 'json' ? body.maxBytes : undefined),
    (req, res, next) => {
      const basic = /^Basic /i.test(req.get('authorization') ?? '');
      return (basic ? bySignature : byToken)(req, res, next);
    },
  ];
}
