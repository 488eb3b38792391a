import { createPublicKey, type X509Certificate } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Logger } from '../config/logger';
import { ANNOUNCED_NAMES, CREDENTIAL_LIFE_MS, type AnnouncedName, type CredentialRef } from '../contracts/credentials';
import type { Integration } from '../contracts/ids';
import { raiseAlertOnce } from '../journal/alerts';
import { appendJournal } from '../journal/journal';
import { certificateRefusal, isGood, readCertificate, thumbprintOf } from '../partners/announced';
import { PartnerProfile, PublicKey } from '../partners/profile';
import { isUniqueViolation, type Database, type Transaction } from '../prisma/database';
import type { PartnerCredential } from '../prisma/generated/client';
import { replaceNow } from '../workflows/credential-rotation/start';
import { HttpProblem, invalidField } from './problem';

const CertificatePem = z.string().min(1).max(16_384).describe('One certificate, PEM, of our authority for clients');
const KeyPem = PublicKey.max(1_024).describe('Ed25519 public key, PEM');
const KeyId = z.string().regex(/^[\w.:-]{1,64}$/, 'is 1 to 64 letters, digits, dots, colons, hyphens or underscores');

/** What a partner made and proves itself to us by from then on. */
export const ToAnnounce = z
  .discriminatedUnion('name', [
    z.strictObject({ name: z.literal('client-certificate'), certificatePem: CertificatePem }),
    z.strictObject({
      name: z.literal('message-key'),
      keyId: KeyId,
      publicKeyPem: KeyPem,
      replaces: KeyId.optional().describe(
        'The key that is in use; wanted where two were configured, of which the other one is over then',
      ),
    }),
  ])
  .meta({ id: 'CredentialToAnnounce' });
export type ToAnnounce = z.infer<typeof ToAnnounce>;

export const AnnouncedView = z
  .object({
    name: z.enum(ANNOUNCED_NAMES),
    keyId: z.string().describe('Of a certificate its `x5t#S256` (RFC 8705)'),
    version: z.int(),
    state: z
      .enum(['pending', 'active', 'retiring', 'retired'])
      .describe('All but `retired` are good; `pending` becomes `active` when it has been used'),
    announcedAt: z.iso.datetime(),
    replaceBy: z.iso.datetime().describe('By then a successor is to be in use (R0.6)'),
  })
  .meta({ id: 'AnnouncedCredential' });

export const announcedView = (row: PartnerCredential): z.infer<typeof AnnouncedView> => ({
  name: nameOf(row),
  keyId: row.keyId,
  version: row.version,
  state: row.state as z.infer<typeof AnnouncedView>['state'],
  announcedAt: row.announcedAt.toISOString(),
  replaceBy: new Date(row.announcedAt.getTime() + CREDENTIAL_LIFE_MS).toISOString(),
});
const nameOf = ({ name }: PartnerCredential): AnnouncedName =>
  name === 'message-key' ? 'message-key' : 'client-certificate';

type PartnerRef = { readonly id: string; readonly integration: string };
/** What notes that a credential was used. */
type Sighting = { readonly database: Database; readonly log: Logger };
type Shown = { readonly keyId: string; readonly publicPem: string };

const byConfiguration = 'configuration';
const objectIdOf = (partnerId: string, name: AnnouncedName): string => `${partnerId}/announced/${name}`;
const versionsOf = (tx: Transaction, partnerId: string, name: AnnouncedName): Promise<PartnerCredential[]> =>
  tx.partnerCredential.findMany({ where: { partnerId, name }, orderBy: { version: 'desc' } });

/**
 * Thumbprints of the certificates that are good for a partner's clients.
 *
 * @returns `null` as long as none has been seen: then the registered name decides (RFC 8705, section 2.1)
 */
export async function thumbprintsOf(database: Database, partnerId: string | null): Promise<string[] | null> {
  if (partnerId === null) return null;
  const rows = await versionsOf(database, partnerId, 'client-certificate');
  return rows.length === 0 ? null : rows.filter(({ state }) => isGood(state)).map(({ keyId }) => keyId);
}

/**
 * A client proved itself by this certificate. The first one that a partner ever does so by is remembered as its own; from
 * then on no other is good but those that were announced.
 *
 * @returns whether it is good
 */
export async function seeCertificate({ database, log }: Sighting, partner: PartnerRef, shown: Shown): Promise<boolean> {
  const name = 'client-certificate';
  let rows = await versionsOf(database, partner.id, name);
  if (rows.length === 0) {
    await adopt(database, partner, name, shown);
    rows = await versionsOf(database, partner.id, name);
  }
  const row = rows.find(({ keyId }) => keyId === shown.keyId);
  if (!row || !isGood(row.state)) return false;
  await writtenIfCan(log, () => noteUse(database, row));
  return true;
}

/** A partner's message was signed with this key, which was found good. */
export async function seeMessageKey(
  { database, log }: Sighting,
  partner: PartnerRef & { readonly profile: unknown; readonly credentials: readonly PartnerCredential[] },
  keyId: string,
): Promise<void> {
  const row = partner.credentials.find((each) => each.keyId === keyId);
  const only = partner.credentials.length === 0 ? onlyConfiguredKey(partner.profile) : null;
  await writtenIfCan(log, async () => {
    if (row) await noteUse(database, row);
    if (only !== null) await adopt(database, partner, 'message-key', only);
  });
}

/** Whether it can be written down changes nothing for the caller: it is written down the next time. */
async function writtenIfCan(log: Logger, write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    log.warn({ event: 'credential-sighting', error }, 'that a credential is in use was not written down');
  }
}

/** Two configured keys are an overlap that somebody began by hand: an announcement says which of them it replaces. */
function onlyConfiguredKey(settings: unknown): Shown | null {
  const [key, ...others] = configuredKeys(settings);
  return key && others.length === 0 ? key : null;
}

function configuredKeys(settings: unknown): Shown[] {
  const profile = PartnerProfile.safeParse(settings);
  const keys = profile.success && profile.data.profile === 'basic-signed' ? profile.data.partnerKeys : [];
  return keys.map(({ keyId, publicKeyPem: publicPem }) => ({ keyId, publicPem }));
}

/** From now on this one is good and no other, until the partner announces its successor. */
async function adopt(database: Database, partner: PartnerRef, name: AnnouncedName, shown: Shown): Promise<void> {
  const { id: partnerId, integration } = partner;
  const row = { partnerId, name, version: 1, integration, ...shown, state: 'active', announcedBy: byConfiguration };
  await database.$transaction(async (tx) => {
    const { count } = await tx.partnerCredential.createMany({
      data: [{ ...row, usedAt: new Date() }],
      skipDuplicates: true,
    });
    if (count > 0) await note(tx, partner, name, { actor: byConfiguration, outcome: 'adopted', version: 1 });
  });
}

async function noteUse(database: Database, { partnerId, name, version, usedAt }: PartnerCredential): Promise<void> {
  if (usedAt !== null) return;
  await database.partnerCredential.updateMany({
    where: { partnerId, name, version, usedAt: null },
    data: { usedAt: new Date() },
  });
}

const note = (
  tx: Transaction,
  { id, integration }: PartnerRef,
  name: AnnouncedName,
  { actor, outcome, version }: { actor: string; outcome: string; version: number },
): Promise<void> =>
  appendJournal(tx, {
    kind: 'credential',
    integration,
    objectId: objectIdOf(id, name),
    actor,
    outcome,
    reason: `version-${version.toString()}`,
  });

export type AnnouncementDependencies = {
  readonly database: Database;
  readonly temporal: Client;
  /** Certificate authorities of partners' client certificates. */
  readonly clientAuthorities: readonly X509Certificate[];
};

/** Takes in successors, from the partner itself or from staff, and has them take the place of what is in use (R0.6). */
export function announcementDesk({ database, temporal, clientAuthorities }: AnnouncementDependencies) {
  /** @throws HttpProblem for what this partner does not prove itself by, or cannot */
  async function shownBy(partnerId: string, body: ToAnnounce): Promise<Shown> {
    if (body.name === 'message-key') {
      const { profile } = await database.partner.findUniqueOrThrow({
        where: { id: partnerId },
        select: { profile: true },
      });
      const parsed = PartnerProfile.safeParse(profile);
      if (!parsed.success || parsed.data.profile !== 'basic-signed') throw notOfThisPartner();
      // In one spelling: whatever else stood in the text is not kept.
      const publicPem = createPublicKey(body.publicKeyPem).export({ type: 'spki', format: 'pem' }).toString();
      return { keyId: body.keyId, publicPem };
    }
    const client = await database.oAuthClient.findFirst({
      where: { partnerId, authMethod: 'tls_client_auth', active: true },
      orderBy: { id: 'asc' },
    });
    if (!client?.certificateName) throw notOfThisPartner();
    const of = { authorities: clientAuthorities, dnsName: client.certificateName, nowMs: Date.now() };
    const refusal = certificateRefusal(body.certificatePem, of);
    const certificate = readCertificate(body.certificatePem);
    if (refusal !== null || !certificate) throw invalidField('certificatePem', `cannot be taken: ${refusal ?? ''}`);
    return { keyId: thumbprintOf(certificate), publicPem: certificate.toString() };
  }

  async function store(
    tx: Transaction,
    partner: PartnerRef,
    { name, keyId, publicPem, actor }: Shown & { name: AnnouncedName; actor: string },
  ): Promise<PartnerCredential> {
    const { id: partnerId, integration } = partner;
    const versions = await versionsOf(tx, partnerId, name);
    const known = versions.find((each) => each.keyId === keyId);
    if (known && isGood(known.state) && sameKey(known.publicPem, publicPem)) return known;
    // What was over once, or is another's name already, does not come back.
    if (known || versions.some((each) => sameKey(each.publicPem, publicPem))) throw conflict('credential-known');
    const waiting = versions.find(({ state }) => state === 'pending');
    const isByStaff = actor.startsWith('staff/');
    if (waiting && (waiting.usedAt !== null || (waiting.announcedBy.startsWith('staff/') && !isByStaff))) {
      throw conflict('credential-under-way');
    }
    if (waiting) {
      const where = { partnerId, name, version: waiting.version, state: 'pending', usedAt: null };
      const { count } = await tx.partnerCredential.updateMany({ where, data: { state: 'retired' } });
      if (count === 0) throw conflict('credential-under-way');
      await note(tx, partner, name, { actor, outcome: 'withdrawn', version: waiting.version });
    }
    const version = (versions[0]?.version ?? 0) + 1;
    // The first one of all that staff bring is the one in use.
    const state = versions.length === 0 ? 'active' : 'pending';
    const row = { partnerId, name, version, integration, keyId, publicPem, state, announcedBy: actor };
    await note(tx, partner, name, { actor, outcome: 'announced', version });
    const objectId = objectIdOf(partnerId, name);
    const raisedAt = new Date();
    const until = new Date(raisedAt.getTime() + CREDENTIAL_LIFE_MS);
    const of = { kind: 'credential-announced', severity: 'low', scope: name, objectId, integration } as const;
    const told = { cause: `${objectId}/${version.toString()}`, kind: 'credential', actor } as const;
    await raiseAlertOnce(tx, { ...of, until, raisedAt }, told);
    return tx.partnerCredential.create({ data: row });
  }

  return {
    /** Repeats change nothing, and have the execution told again: the process may have died between the two. */
    async announce(partner: PartnerRef, body: ToAnnounce, actor: string): Promise<PartnerCredential> {
      const { name } = body;
      const shown = await shownBy(partner.id, body);
      if (body.name === 'message-key') await adoptConfigured(partner, body.replaces);
      const row = await database
        .$transaction((tx) => store(tx, partner, { ...shown, name, actor }))
        .catch((error: unknown) => {
          throw isUniqueViolation(error) ? conflict('credential-under-way') : error;
        });
      const integration = partner.integration as Integration;
      const credential: CredentialRef = { integration, partnerId: partner.id, direction: 'announced', name };
      if (row.state === 'pending') await replaceNow(temporal, credential);
      return row;
    },
  };

  /** A key that only the settings know is in use: it must not end by the mere announcement of another. */
  async function adoptConfigured(partner: PartnerRef, replaces: string | undefined): Promise<void> {
    const versions = await versionsOf(database, partner.id, 'message-key');
    if (versions.length > 0) {
      const isGiven =
        replaces === undefined || versions.some(({ keyId, state }) => keyId === replaces && isGood(state));
      if (!isGiven) throw invalidField('replaces', 'is no key that is in use');
      return;
    }
    const { profile } = await database.partner.findUniqueOrThrow({
      where: { id: partner.id },
      select: { profile: true },
    });
    const named = configuredKeys(profile).find(({ keyId }) => keyId === replaces);
    if (replaces !== undefined && !named) throw invalidField('replaces', 'is no key that is in use');
    const inUse = named ?? onlyConfiguredKey(profile);
    if (!inUse) throw conflict('credential-under-way');
    await adopt(database, partner, 'message-key', inUse);
  }
}

/** Of keys or certificates: a certificate that was made anew for a key that is over is over, too. */
const sameKey = (a: string, b: string): boolean => createPublicKey(a).equals(createPublicKey(b));

const notOfThisPartner = (): HttpProblem =>
  invalidField('name', 'is nothing that this partner proves itself to us by', 422);

const conflict = (type: 'credential-known' | 'credential-under-way'): HttpProblem =>
  new HttpProblem({
    status: 409,
    type,
    title: type === 'credential-known' ? 'It was announced before' : 'Another one is taking its place now',
  });
