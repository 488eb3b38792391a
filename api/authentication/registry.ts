import type { RequestHandler } from 'express';
import { bodyParsers, jsonBody, type Operation } from '../operation';
import { requireSignature, type SignedMessageChecks } from './signed-message';
import { requireToken, type TokenChecks } from './token';

/**
 * Lets in the property registry: by its token, and what it reports by a signature over the message as it came (RFC 9421,
 * as profile `basic-signed` has it), because a report takes rights away from people who are not asked. What it only looks
 * up needs the token alone.
 */
export function requireRegistry(
  checks: TokenChecks & Omit<SignedMessageChecks, 'signingKey'>,
  operation: Operation & { readonly scope: string },
): RequestHandler[] {
  const byToken = requireToken(checks, 'registry', operation.scope);
  if (operation.method === 'get') return [byToken];
  // Signatures cover the bytes of the body, so it is read before it is believed; its size is bounded.
  const readBody = operation.body ? bodyParsers(operation) : [jsonBody()];
  return [byToken, ...readBody, requireSignature(checks)];
}
