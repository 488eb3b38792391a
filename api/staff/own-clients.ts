import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { appendJournal } from '../../journal/journal';
import { sql, type Database, type Transaction } from '../../prisma/database';
import { slowHash } from '../../vault/slow-hash';
import { defineOperation, type Operation } from '../operation';
import { HttpProblem, notFound } from '../problem';
import { encryptionKeyOf, PublicJwk, seal } from './encryption-key';

const OneClient = z.object({ clientId: z.string().regex(/^[\w-]{1,64}$/) });
const ToIssue = z.strictObject({ publicKey: PublicJwk }).meta({ id: 'OwnClientSecretRequest' });
const Issued = z
  .object({ jwe: z.string().describe('Compact JWE (RFC 7516) of JSON with `clientId` and `secret`') })
  .meta({ id: 'OwnClientSecret' });
const ToRetire = z
  .strictObject({
    urgently: z
      .boolean()
      .default(false)
      .describe(
        'The older one is in wrong hands: it ends although the newest was not shown yet, and tokens end with it',
      ),
  })
  .meta({ id: 'OwnClientSecretRetirement' });
const Retired = z.object({ retired: z.literal(true) }).meta({ id: 'OwnClientSecretsRetired' });

const SECRET_BYTES = 32;

/**
 * Secrets of the company's own backends at our authorization server (R0.6, docs/adr/0081). A person takes the next one
 * out, sealed to a key of theirs, and enters it there; the one before is good until it is retired.
 */
export function ownClientOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'issueOwnClientSecret',
      method: 'post',
      path: '/own-clients/{clientId}/secrets',
      summary: 'Take the next secret of one of our own backends, encrypted to a public key; the one before stays good',
      permission: 'own-clients:renew',
      stepUp: true,
      params: OneClient,
      body: { kind: 'json', schema: ToIssue },
      // An answer that was kept would be a second copy. A repeat is given another one: what nobody showed is not good.
      idempotency: 'own',
      responses: { 200: { description: 'The secret, sealed', schema: Issued } },
      async handle({ params: { clientId }, body: { publicKey }, caller }) {
        const key = await encryptionKeyOf(publicKey);
        const secret = randomBytes(SECRET_BYTES).toString('base64url');
        const hash = await slowHash(secret);
        await database.$transaction(async (tx) => {
          await assertOwn(tx, clientId);
          const [row] = await tx.$queryRaw<{ done: boolean }[]>(
            sql`SELECT issue_own_client_secret(${clientId}, ${hash}) AS done`,
          );
          if (row?.done !== true) throw overlapping();
          await note(tx, clientId, caller.clientId, 'issued');
        });
        const jwe = await seal(JSON.stringify({ clientId, secret }), key);
        return { status: 200, headers: { 'cache-control': 'no-store' }, body: { jwe } };
      },
    }),
    defineOperation({
      id: 'retireOwnClientSecrets',
      method: 'post',
      path: '/own-clients/{clientId}/secrets/retirement',
      summary: 'Leave only the newest secret of one of our own backends good',
      permission: 'own-clients:renew',
      stepUp: true,
      params: OneClient,
      body: { kind: 'json', schema: ToRetire },
      idempotency: 'stored',
      responses: { 200: { description: 'Only the newest is good, now or earlier', schema: Retired } },
      async handle({ params: { clientId }, body: { urgently }, caller }) {
        await database.$transaction(async (tx) => {
          await assertOwn(tx, clientId);
          const [row] = await tx.$queryRaw<{ outcome: string }[]>(
            sql`SELECT retire_own_client_secrets(${clientId}, ${urgently}) AS outcome`,
          );
          if (row?.outcome === 'not-shown') throw notShown();
          if (row?.outcome === 'retired') await note(tx, clientId, caller.clientId, urgently ? 'revoked' : 'retired');
        });
        return { status: 200, body: { retired: true } };
      },
    }),
  ];
}

/** Of partners' clients another process takes care. */
async function assertOwn(tx: Transaction, clientId: string): Promise<void> {
  const row = await tx.oAuthClient.findUnique({ where: { id: clientId }, select: { partnerId: true } });
  if (row?.partnerId !== null) throw notFound('clientId');
}

const note = (tx: Transaction, clientId: string, actor: string, outcome: string): Promise<void> =>
  appendJournal(tx, { kind: 'credential', integration: null, objectId: `domovoy/client/${clientId}`, actor, outcome });

const overlapping = (): HttpProblem =>
  new HttpProblem({ status: 409, type: 'secrets-overlap', title: 'Two secrets of this client are in use already' });
const notShown = (): HttpProblem =>
  new HttpProblem({ status: 409, type: 'secret-not-shown', title: 'The client has not shown its newest secret yet' });
