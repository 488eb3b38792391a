import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Integration } from '../../contracts/ids';
import { CredentialHandoverView, isWithin } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import { certificateEndOf, comesFrom, hasCertificate, withCertificate } from '../../partners/client-certificate';
import { carriedPartOf } from '../../partners/credential-values';
import { PartnerError } from '../../partners/failure';
import { PartnerProfile } from '../../partners/profile';
import { sql, type Database, type Transaction } from '../../prisma/database';
import type { KeyEncryption } from '../../vault/key-encryption';
import { createSecretStore, type SecretRow } from '../../vault/secrets';
import type { Caller } from '../authentication/caller';
import { defineOperation, type Operation } from '../operation';
import { replaceNow } from '../../workflows/credential-rotation/start';
import { HttpProblem, invalidField, notFound } from '../problem';
import { encryptionKeyOf, PublicJwk, seal } from './encryption-key';
import { memberOf } from './member';

const ToDownload = z.strictObject({ publicKey: PublicJwk }).meta({ id: 'CredentialDownloadRequest' });
const Sealed = z
  .object({
    jwe: z
      .string()
      .describe(
        'Compact JWE (RFC 7516) of JSON with `partnerId`, `direction`, `name`, `value`; of a `signing-key` the public key, and its `keyId`',
      ),
  })
  .meta({ id: 'SealedCredential' });
const ToBring = z
  .strictObject({
    certificatePem: z
      .string()
      .min(1)
      .max(32_768)
      .describe('The certificate, PEM; behind it those between it and the authority'),
  })
  .meta({ id: 'CertificateToBring' });
const Brought = z.object({ brought: z.literal(true) }).meta({ id: 'CertificateBrought' });
const List = z.object({ handovers: z.array(CredentialHandoverView) }).meta({ id: 'CredentialHandoverList' });

type Row = Awaited<ReturnType<Database['credentialHandover']['findUniqueOrThrow']>>;

/**
 * Successors of credentials that a person carries to a partner without an interface for it (R0.6): each offer is given
 * once, for a short time, encrypted to a key of whoever takes it in, so that nothing between our vault and that person
 * reads it.
 */
export function credentialHandoverOperations({
  database,
  temporal,
  keyEncryption,
}: {
  database: Database;
  temporal: Client;
  keyEncryption: KeyEncryption;
}): Operation[] {
  const store = createSecretStore(keyEncryption);
  return [
    defineOperation({
      id: 'listCredentialHandovers',
      method: 'get',
      path: '/credential-handovers',
      summary: 'Credentials that wait to be carried to a partner, or were, newest first',
      permission: 'credentials:hand-over',
      params: z.object({}),
      responses: { 200: { description: 'Offers', schema: List } },
      async handle({ caller }) {
        const { reach } = memberOf(caller);
        const rows = await database.credentialHandover.findMany({ orderBy: { offeredAt: 'desc' }, take: 100 });
        const shown = rows.filter(({ partnerId: id, integration }) => isWithin(reach, { id, integration }));
        return { status: 200, body: { handovers: shown.map(view) } };
      },
    }),
    defineOperation({
      id: 'downloadCredential',
      method: 'post',
      path: '/credential-handovers/{handoverId}/download',
      summary: 'Take a credential, encrypted to a public key: once, and never again',
      permission: 'credentials:hand-over',
      stepUp: true,
      params: z.object({ handoverId: z.uuid() }),
      body: { kind: 'json', schema: ToDownload },
      // A repeat is refused as any second download is: an answer that was kept would be a second copy.
      idempotency: 'own',
      responses: { 200: { description: 'The credential, sealed', schema: Sealed } },
      async handle({ params: { handoverId }, body: { publicKey }, caller }) {
        const row = await handoverWithin(caller, handoverId);
        const key = await encryptionKeyOf(publicKey);
        // Taken, opened, sealed and written down together, or none of it.
        const jwe = await database.$transaction(async (tx) => {
          const secret = await take(tx, handoverId, caller.clientId);
          if (!secret) throw notToBeHad();
          const { integration, partnerId, direction, name } = row;
          await appendJournal(tx, {
            kind: 'credential',
            integration,
            objectId: `${partnerId}/${direction}/${name}`,
            actor: caller.clientId,
            outcome: 'handed-over',
            reason: `version-${row.version.toString()}`,
          });
          const stored = await store.reveal(secret);
          const carried = direction === 'issued' ? { value: stored } : carriedPartOf(name, stored);
          return seal(JSON.stringify({ partnerId, direction, name, ...carried }), key);
        });
        return { status: 200, headers: { 'cache-control': 'no-store' }, body: { jwe } };
      },
    }),
    defineOperation({
      id: 'bringCertificate',
      method: 'post',
      path: '/credential-handovers/{handoverId}/certificate',
      summary: 'Bring the certificate that a partner signed for a request which was carried to it',
      permission: 'credentials:hand-over',
      stepUp: true,
      params: z.object({ handoverId: z.uuid() }),
      body: { kind: 'json', schema: ToBring },
      idempotency: 'own',
      responses: { 202: { description: 'It is tried at the partner now, and then used', schema: Brought } },
      async handle({ params: { handoverId }, body: { certificatePem }, caller }) {
        const row = await handoverWithin(caller, handoverId);
        await assertOfPartner(row.partnerId, certificatePem);
        await database.$transaction((tx) => bring(tx, row, certificatePem, caller.clientId));
        // Also for a repeat: the process may have died between the two.
        const { partnerId, name } = row;
        const integration = row.integration as Integration;
        await replaceNow(temporal, { integration, partnerId, direction: 'presented', name });
        return { status: 202, body: { brought: true } };
      },
    }),
  ];

  /** The offer that a request names. What is outside of a role's reach is answered like what does not exist. */
  async function handoverWithin(caller: Caller, id: string): Promise<Row> {
    const row = await database.credentialHandover.findUnique({ where: { id } });
    const { reach } = memberOf(caller);
    if (!row || !isWithin(reach, { id: row.partnerId, integration: row.integration })) throw notFound('handoverId');
    return row;
  }

  /** The secret is read and written in one transaction: two who bring one each wait for each other. */
  async function bring(tx: Transaction, row: Row, certificatePem: string, actor: string): Promise<void> {
    const [found] = await tx.$queryRaw<(Omit<SecretRow, 'keyId'> & { key_id: string })[]>(
      sql`SELECT * FROM carried_request(${row.id}::uuid)`,
    );
    if (!found) throw notWaitedFor();
    const stored = await store.reveal({ ...found, keyId: found.key_id });
    const completed = completedBy(stored, certificatePem);
    if (hasCertificate(stored)) {
      if (completed === stored) return;
      throw notWaitedFor();
    }
    const { wrapped, keyId } = await store.seal(found, completed);
    const endsAt = certificateEndOf(completed) ?? null;
    await tx.$queryRaw(sql`SELECT complete_carried_request(${row.id}::uuid, ${wrapped}, ${keyId}, ${endsAt})`);
    const { integration, partnerId, direction, name, version } = row;
    const objectId = `${partnerId}/${direction}/${name}`;
    const of = { kind: 'credential', integration, objectId, actor } as const;
    await appendJournal(tx, { ...of, outcome: 'certificate-brought', reason: `version-${version.toString()}` });
  }

  async function assertOfPartner(partnerId: string, certificatePem: string): Promise<void> {
    const { profile } = await database.partner.findUniqueOrThrow({
      where: { id: partnerId },
      select: { profile: true },
    });
    const parsed = PartnerProfile.safeParse(profile);
    if (!parsed.success || parsed.data.profile !== 'mtls-oidc') throw notWaitedFor();
    const { clientCaPem, caPem } = parsed.data;
    if (comesFrom(certificatePem, clientCaPem ?? caPem)) return;
    throw invalidField('certificatePem', "is not signed by the partner's authority");
  }
}

function completedBy(stored: string, certificatePem: string): string {
  try {
    return withCertificate(stored, certificatePem);
  } catch (error) {
    if (!(error instanceof PartnerError)) throw error;
    throw invalidField('certificatePem', 'is not for the key of this request, or ends within a month');
  }
}

const notWaitedFor = (): HttpProblem =>
  new HttpProblem({
    status: 409,
    type: 'certificate-not-awaited',
    title: 'No certificate is waited for here, or another one has come',
  });

async function take(tx: Transaction, id: string, member: string): Promise<SecretRow | null> {
  const [found] = await tx.$queryRaw<(Omit<SecretRow, 'keyId'> & { key_id: string })[]>(
    sql`SELECT * FROM take_credential(${id}::uuid, ${member})`,
  );
  return found ? { ...found, keyId: found.key_id } : null;
}

const notToBeHad = (): HttpProblem =>
  new HttpProblem({ status: 410, type: 'credential-handed-over', title: 'It was taken already, or its time is over' });

const view = ({ id, partnerId, direction, name, version, offeredAt, expiresAt, takenAt }: Row) => ({
  handoverId: id,
  partnerId,
  direction,
  name,
  version,
  offeredAt: offeredAt.toISOString(),
  expiresAt: expiresAt.toISOString(),
  takenAt: takenAt?.toISOString() ?? null,
});
