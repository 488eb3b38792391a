import { createPublicKey, type KeyObject } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from '../../config/logger';
import type { Integration } from '../../contracts/ids';
import {
  digestMatches,
  signResponse,
  verifyRequest,
  type SignedRequest,
  type SigningKey,
} from '../../partners/message-signature';
import type { RefusalCode } from '../../journal/refusals';
import { messageKeysOf } from '../../partners/announced';
import { MessageKeys, PartnerProfile } from '../../partners/profile';
import { isUniqueViolation, type Database } from '../../prisma/database';
import type { PartnerCredential } from '../../prisma/generated/client';
import { seeMessageKey } from '../announced-credentials';
import { createClientSecrets } from '../client-secrets';
import { findClientRow } from '../oauth/client-row';
import { noteTried, type RefusalLimits } from '../refusal-limits';
import { noteRefusalOf } from '../refusals';
import { SecretChecksBusy } from '../../vault/slow-hash';
import { HttpProblem } from '../problem';
import { noteKnown, type Caller } from './caller';
import { agreedLimits, insufficientScope, unauthorized } from './token';

export type SignedMessageChecks = {
  readonly publicUrl: string;
  readonly database: Database;
  /** Signs our answers; changes while the process runs. */
  readonly signingKey: () => SigningKey;
  readonly refusals: Pick<RefusalLimits, 'assertFew' | 'counted'>;
  readonly log: Logger;
};

/**
 * Lets in a partner of profile `basic-signed` (R0.6, R0.8): its credential, a signature over the message as it came, and
 * a nonce that was not used before. All three, or the same refusal. Answers are signed from then on.
 */
export function requireSignedMessage(checks: SignedMessageChecks, scope: string): RequestHandler {
  const secrets = createClientSecrets(checks.database, checks.log);
  return async (req, res, next) => {
    await checks.refusals.counted(res, () => authenticate(req, res));
    next();
  };

  async function authenticate(req: Request, res: Response): Promise<void> {
    const refuse = (code: string): Error => unauthorized(checks.log, code, 'Basic realm="partner"');
    const credentials = basicCredentials(req.get('authorization'));
    const client = credentials && (await findClientRow(checks.database, credentials.username));
    if (!credentials) throw refuse('credential');
    const { username, password } = credentials;
    const known = client?.active === true && client.authMethod === 'basic_signed' ? client : null;
    noteTried(res, username);
    if (!secrets.isRemembered(username, password, known)) await checks.refusals.assertFew(res);
    const stored = await secrets.check(username, password, known).catch(comeBack);
    if (stored === null || !client?.partnerId) throw refuse('credential');

    const partner = await checks.database.partner.findUnique({
      where: { id: client.partnerId },
      include: { credentials: { where: { name: 'message-key' } } },
    });
    const keys = partner?.active === true ? keysOf(partner.profile, partner.credentials) : new Map<string, KeyObject>();
    const message = messageOf(req, checks.publicUrl);
    const { refusal, keyId } = await check(checks.database, message, { signer: client.partnerId, keys });
    if (refusal !== null) {
      const code = provedBy(refusal, message);
      noteRefusalOf(res, { code, client: { id: client.id, integration: client.integration } });
      throw refuse(refusal);
    }
    if (!partner) throw refuse('credential');
    await secrets.seen(client.id, stored);
    await seeMessageKey(checks, partner, keyId);

    signAnswers(res, message, checks.signingKey);
    const caller: Caller = {
      clientId: client.id,
      audience: 'partner',
      partnerId: client.partnerId,
      limits: agreedLimits(partner),
      ...(client.integration !== null && { integration: client.integration as Integration }),
      profile: 'basic-signed',
    };
    noteKnown(res, caller);
    if (!client.scopes.includes(scope)) throw insufficientScope(scope);
    (res.locals as { caller?: Caller }).caller = caller;
  }
}

/**
 * Wants a signature besides the token that was shown before: for the company's own clients whose word alone takes rights
 * away, so that a token that leaked is not enough. The client's keys are in its row.
 */
export function requireSignature(checks: Omit<SignedMessageChecks, 'signingKey'>): RequestHandler {
  return async (req, res, next) => {
    await checks.refusals.counted(res, async () => {
      const { clientId } = (res.locals as { caller: Caller }).caller;
      const client = await findClientRow(checks.database, clientId);
      const keys = importedKeys(client?.messageKeys);
      const signer = `client/${clientId}`;
      const { refusal } = await check(checks.database, messageOf(req, checks.publicUrl), { signer, keys });
      if (refusal !== null) throw unauthorized(checks.log, refusal, 'Signature');
    });
    next();
  };
}

/** @returns why the message is not believed; `null`: it is the signer's, whole, and here for the first time */
async function check(
  database: Database,
  message: SignedRequest,
  { signer, keys }: { readonly signer: string; readonly keys: ReadonlyMap<string, KeyObject> },
): Promise<{ refusal: string; keyId?: never } | { refusal: null; keyId: string }> {
  // A body that was cut off whole leaves its digest behind.
  const digest = message.headers['content-digest'];
  if (digest !== undefined && !digestMatches(digest, message.body)) return { refusal: 'signature-digest' };
  const checked = await verifyRequest(message, (keyId) => keys.get(keyId) ?? null, Date.now());
  if (!checked.ok) return { refusal: `signature-${checked.refusal}` };
  const { nonce, expiresAt, keyId } = checked;
  return (await useNonce(database, signer, nonce, expiresAt)) ? { refusal: null, keyId } : { refusal: 'replayed' };
}

/** What a refused message proves about who sent it with the client's password. */
function provedBy(refusal: string, message: SignedRequest): RefusalCode {
  if (refusal === 'replayed') return 'replayed';
  return isOfAnotherTime(message, Date.now()) ? 'signature-time' : 'signature';
}

/** More secrets are shown than can be looked at: nothing is said of this one. */
function comeBack(error: unknown): never {
  if (!(error instanceof SecretChecksBusy)) throw error;
  throw new HttpProblem({
    status: 503,
    type: 'busy',
    title: 'Too many credentials are looked at',
    headers: { 'retry-after': '1' },
  });
}

function basicCredentials(header: string | undefined): { username: string; password: string } | null {
  const encoded = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const decoded = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  return colon < 1 ? null : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
}

function keysOf(settings: unknown, announced: readonly PartnerCredential[]): ReadonlyMap<string, KeyObject> {
  const profile = PartnerProfile.safeParse(settings);
  if (!profile.success || profile.data.profile !== 'basic-signed') return new Map();
  return messageKeysOf(profile.data.partnerKeys, announced);
}

/** Nobody's signature is good where what should be keys is not. */
function importedKeys(settings: unknown): Map<string, KeyObject> {
  const keys = MessageKeys.safeParse(settings);
  return new Map((keys.data ?? []).map(({ keyId, publicKeyPem }) => [keyId, createPublicKey(publicKeyPem)]));
}

/** Whether the signature says to be made at a time that is not now: the clocks are apart, or the message is old. */
function isOfAnotherTime({ headers }: SignedRequest, nowMs: number): boolean {
  const created = /;created=(\d{1,12})(?:;|$)/.exec(headers['signature-input'] ?? '')?.[1];
  return created !== undefined && Math.abs(Number(created) * 1_000 - nowMs) > OTHER_TIME_MS;
}
/** As long as a signature lives. */
const OTHER_TIME_MS = 60_000;

/** The address is ours by configuration; a Host header proves nothing. */
function messageOf(req: Request, publicUrl: string): SignedRequest {
  const headers = Object.fromEntries(
    Object.entries(req.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );
  const body = (req as { rawBody?: Buffer }).rawBody ?? Buffer.alloc(0);
  return { method: req.method, url: publicUrl + req.originalUrl, headers, body };
}

async function useNonce(database: Database, signer: string, nonce: string, expiresAt: Date): Promise<boolean> {
  try {
    await database.signatureNonce.create({ data: { partnerId: signer, nonce, expiresAt } });
    return true;
  } catch (error) {
    if (isUniqueViolation(error)) return false;
    throw error;
  }
}

/** From here on what Express sends as text is signed first. */
function signAnswers(res: Response, request: SignedRequest, key: () => SigningKey): void {
  const send = res.send.bind(res);
  res.send = (body: unknown) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const contentType = res.get('content-type') ?? 'application/json; charset=utf-8';
    res.set('content-type', contentType);
    const answer = { status: res.statusCode, contentType, body: Buffer.from(text) };
    signResponse(answer, request, key(), Date.now()).then(
      (headers) => send.call(res.set(headers), answer.body),
      () => res.destroy(),
    );
    return res;
  };
}
