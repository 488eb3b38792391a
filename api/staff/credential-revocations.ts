import type { Client } from '@temporalio/client';
import { z } from 'zod';
import {
  ANNOUNCED_NAMES,
  MESSAGE_SIGNING_KEY,
  TOKEN_SIGNING_KEY,
  type CredentialRef,
} from '../../contracts/credentials';
import type { Integration } from '../../contracts/ids';
import { appendJournal } from '../../journal/journal';
import { REPLACEABLE_SECRETS } from '../../partners/ports';
import { PartnerProfile, REPLACEABLE_BY_PROFILE } from '../../partners/profile';
import type { Database } from '../../prisma/database';
import { revokeNow } from '../../workflows/credential-rotation/start';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';
import { partnerWithin } from './member';
import { PartnerId } from './partners';

const Presented = z.strictObject({ direction: z.literal('presented'), name: z.enum(REPLACEABLE_SECRETS) });
const Issued = z.strictObject({
  direction: z.literal('issued'),
  name: z
    .string()
    .regex(/^[\w-]{1,64}$/)
    .describe('The client id of the partner at our authorization server'),
});
const Announced = z.strictObject({ direction: z.literal('announced'), name: z.enum(ANNOUNCED_NAMES) });
const Which = z.discriminatedUnion('direction', [Presented, Issued, Announced]).meta({ id: 'CredentialToRevoke' });
const Revoking = z.object({ revoking: z.literal(true) }).meta({ id: 'CredentialRevocation' });
const RESPONSES = { 202: { description: 'It is being replaced, and ends without overlap', schema: Revoking } };

/**
 * Emergency rotation (R0.6): a credential may be in wrong hands. What partners show us ends at once; what we show them
 * as soon as its successor is proven.
 */
export function credentialRevocationOperations({
  database,
  temporal,
}: {
  database: Database;
  temporal: Client;
}): Operation[] {
  return [
    defineOperation({
      id: 'revokePartnerCredential',
      method: 'post',
      path: '/partners/{partnerId}/credential-revocations',
      summary: 'Replace a credential between us and a partner now; the old one ends without overlap',
      permission: 'credentials:revoke',
      stepUp: true,
      params: z.object({ partnerId: PartnerId }),
      body: { kind: 'json', schema: Which },
      idempotency: 'stored',
      responses: RESPONSES,
      async handle({ params: { partnerId }, body, caller }) {
        const { integration } = await partnerWithin(database, caller, partnerId);
        if (!(await isOneOf(partnerId, body))) throw notFound('name');
        await revoke({ integration: integration as Integration, partnerId, ...body }, caller.clientId);
        return { status: 202, body: { revoking: true } };
      },
    }),
    defineOperation({
      id: 'revokeTokenSigningKey',
      method: 'post',
      path: '/token-signing-key/revocations',
      summary: 'Replace the key of our access tokens now; every token that it signed ends at once',
      permission: 'credentials:revoke',
      stepUp: true,
      params: z.object({}),
      idempotency: 'stored',
      responses: RESPONSES,
      async handle({ caller }) {
        await revoke(TOKEN_SIGNING_KEY, caller.clientId);
        return { status: 202, body: { revoking: true } };
      },
    }),
    defineOperation({
      id: 'revokeMessageSigningKey',
      method: 'post',
      path: '/message-signing-key/revocations',
      summary: 'Replace the key of our answers to partners now; it is published no longer as soon as it signs no more',
      permission: 'credentials:revoke',
      stepUp: true,
      params: z.object({}),
      idempotency: 'stored',
      responses: RESPONSES,
      async handle({ caller }) {
        await revoke(MESSAGE_SIGNING_KEY, caller.clientId);
        return { status: 202, body: { revoking: true } };
      },
    }),
  ];

  /** Evidence first: a replacement too many does no harm, one that nobody is seen to have asked for does. */
  async function revoke(credential: CredentialRef, actor: string): Promise<void> {
    const { integration, partnerId, direction, name } = credential;
    const entry = { integration, objectId: `${partnerId}/${direction}/${name}`, actor, outcome: 'revoked' };
    await database.$transaction((tx) => appendJournal(tx, { kind: 'credential', ...entry }));
    await revokeNow(temporal, credential);
  }

  async function isOneOf(partnerId: string, { direction, name }: z.infer<typeof Which>): Promise<boolean> {
    if (direction === 'issued') {
      const ofPartner = { id: name, partnerId, secretHashes: { isEmpty: false } };
      return (await database.oAuthClient.count({ where: ofPartner })) > 0;
    }
    if (direction === 'announced') return (await database.partnerCredential.count({ where: { partnerId, name } })) > 0;
    const row = await database.partner.findUniqueOrThrow({ where: { id: partnerId }, select: { profile: true } });
    const profile = PartnerProfile.safeParse(row.profile);
    return profile.success && REPLACEABLE_BY_PROFILE[profile.data.profile].includes(name);
  }
}
