import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { consentFormSha256 } from '../contracts/consent-form';
import { profilePlace } from '../contracts/sealed-places';
import { slowHash } from '../vault/slow-hash';
import { SCOPES } from '../api/oauth/resources';
import { DATA_SET_FIELDS } from '../partners/data-set';
import type { PartnerProfile, SecretName } from '../partners/profile';
import { openDatabase, type Transaction } from '../prisma/database';
import { parseKeyRing } from '../config/environment';
import { documentSigner } from '../vault/document-signature';
import { localKeyEncryption } from '../vault/key-encryption';
import { openKeyStore, type KeyStore } from '../vault/key-store';
import { createSealedFiles } from '../vault/sealed-files';
import { createSecretStore } from '../vault/secrets';
import { createSubjectVault, type SubjectVault } from '../vault/subject-keys';
import type { Certificates } from './certificates';
import type { Ports } from './ports';
import { plainPdf } from './plain-pdf';
import { publicPem, type StackSecrets } from './secrets';
import {
  APP_CLIENT_ID,
  CONSENT_FORM,
  FLAT_FOR_SALE,
  GALINA,
  PARTNERS,
  partnerById,
  REGISTRY_CLIENT_ID,
  REGISTRY_KEY_ID,
  RESIDENTS,
  SERVICE,
  type TownFlat,
  type TownPartner,
} from './town';

/** What the town's settings are made of. */
export type Seeding = { readonly secrets: StackSecrets; readonly certificates: Certificates; readonly ports: Ports };

/** Connection strings of the tables' owner. */
export type OwnerUrls = { readonly ownerUrl: string; readonly keyStoreOwnerUrl: string };

/** Puts the town into the databases, as the owner of the tables. Harmless to repeat: what is there stays. */
export async function seedTown({ ownerUrl, keyStoreOwnerUrl }: OwnerUrls, seeding: Seeding): Promise<void> {
  const database = openDatabase(ownerUrl, 2);
  const keyStore = openKeyStore(keyStoreOwnerUrl, 1);
  try {
    await database.$transaction(
      async (tx) => {
        await seedRegister(tx, seeding.secrets, keyStore);
        for (const partner of PARTNERS) await seedPartner(tx, partner, seeding);
        await seedFlatForSale(tx);
        await seedOwnClients(tx, seeding.secrets);
      },
      { timeout: 30_000 },
    );
  } finally {
    await database.$disconnect();
    await keyStore.close();
  }
}

async function seedRegister(tx: Transaction, secrets: StackSecrets, keyStore: KeyStore): Promise<void> {
  const form = { ...CONSENT_FORM, purposes: [...CONSENT_FORM.purposes], sha256: consentFormSha256(CONSENT_FORM) };
  await tx.consentForm.upsert({ where: { id: form.id }, create: form, update: {} });

  const ring = parseKeyRing(secrets.keyEncryptionKeys.value);
  const subjects = createSubjectVault(localKeyEncryption(ring.keys, ring.currentId), keyStore);
  for (const { id, name } of Object.values(RESIDENTS)) {
    if (await tx.resident.findUnique({ where: { id } })) continue;
    await seedResident(tx, subjects, { id, name });
  }
}

async function seedResident(
  tx: Transaction,
  subjects: SubjectVault,
  { id, name }: { readonly id: string; readonly name: string },
): Promise<void> {
  await tx.resident.create({ data: { id } });
  await subjects.createKey(tx, id);
  const sealed = await subjects.seal(tx, id, Buffer.from(JSON.stringify({ name })), profilePlace(id));
  await tx.residentProfile.create({ data: { residentId: id, sealed } });
}

/** Galina moves into her flat. @returns her new id */
export const moveGalinaIn = (urls: OwnerUrls, secrets: StackSecrets): Promise<string> => moveIn(urls, secrets, GALINA);

/** Somebody new gets a right to a flat, which may have other owners as well. @returns their new id */
export async function moveIn(
  { ownerUrl, keyStoreOwnerUrl }: OwnerUrls,
  secrets: StackSecrets,
  {
    name,
    partnerId,
    flat: { propertyId, accountId: billingAccountId },
  }: {
    readonly name: string;
    readonly partnerId: TownPartner['id'];
    readonly flat: Pick<TownFlat, 'propertyId' | 'accountId'>;
  },
): Promise<string> {
  const database = openDatabase(ownerUrl, 1);
  const keyStore = openKeyStore(keyStoreOwnerUrl, 1);
  const ring = parseKeyRing(secrets.keyEncryptionKeys.value);
  const subjects = createSubjectVault(localKeyEncryption(ring.keys, ring.currentId), keyStore);
  const { houseId } = partnerById(partnerId);
  const residentId = randomUUID();
  try {
    await database.$transaction(async (tx) => {
      await seedResident(tx, subjects, { id: residentId, name });
      const property = { id: propertyId, houseId, kind: 'flat', billingAccountId };
      await tx.property.createMany({ data: [property], skipDuplicates: true });
      const right = { id: randomUUID(), residentId, propertyId, kind: 'owner', startsAt: new Date(0) };
      await tx.propertyRight.create({ data: right });
    });
  } finally {
    await database.$disconnect();
    await keyStore.close();
  }
  return residentId;
}

async function seedPartner(tx: Transaction, partner: TownPartner, seeding: Seeding): Promise<void> {
  const { id, integration, custody, displayName, legalName, legalAddress, houseId, partnerHouseId } = partner;
  const profile = profileOf(partner, seeding);
  const logExportKey = documentSigner(logExportKeyOf(id, seeding.secrets)).keyId;
  const legal = { legalName, legalAddress };
  const row = {
    integration,
    custody,
    displayName,
    ...legal,
    profile,
    agreedFields: [...DATA_SET_FIELDS],
    logExportKey,
  };
  const known = await tx.partner.findUnique({ where: { id } });
  if (!known) {
    await tx.partner.create({ data: { id, ...row } });
    await seedLetter(tx, partner, seeding.secrets);
  } else if (JSON.stringify(sorted(known.profile)) !== JSON.stringify(sorted(profile))) {
    await tx.partner.update({ where: { id }, data: { profile, revision: { increment: 1 } } });
  }
  await tx.partner.updateMany({ where: { id, logExportKey: null }, data: { logExportKey } });
  await tx.partner.updateMany({ where: { id, legalName: null }, data: legal });
  await seedHouse(tx, partner);
  await tx.housePartner.createMany({
    data: [{ houseId, partnerId: id, integration, partnerHouseId }],
    skipDuplicates: true,
  });
  const accessPoint = { houseId, partnerId: id, integration, service: SERVICE };
  await tx.accessPoint.createMany({
    data: [
      { ...accessPoint, id: partner.doorId, deviceId: partner.doorDeviceId, kind: 'door' },
      { ...accessPoint, id: partner.barrierId, deviceId: partner.barrierDeviceId, kind: 'barrier' },
    ],
    skipDuplicates: true,
  });
  await seedPartnerSecrets(tx, partner, seeding);
  await seedPartnerClient(tx, partner, seeding.secrets);
}

/** What the partner signs exports of its log with (R3.6). */
const logExportKeyOf = (id: TownPartner['id'], secrets: StackSecrets): string =>
  ({
    kluch: secrets.fromKluchLogExportKey,
    vizor: secrets.fromVizorLogExportKey,
    shlagbaum: secrets.fromShlagbaumLogExportKey,
  })[id].value;

/** The letter that a partner of the town brought when it came, for a year. */
async function seedLetter(tx: Transaction, { id: partnerId, displayName }: TownPartner, secrets: StackSecrets) {
  const ring = parseKeyRing(secrets.keyEncryptionKeys.value);
  const files = createSealedFiles(localKeyEncryption(ring.keys, ring.currentId));
  const id = randomUUID();
  await files.put(tx, { id, mediaType: 'application/pdf', content: plainPdf(`Letter of ${displayName}`) });
  await files.describe(tx, id, { name: `Head of ${displayName}`, position: 'General director' });
  const [signedOn, validUntil] = [new Date(), new Date(Date.now() + LETTER_DAYS * 86_400_000)];
  const inForce = { status: 'in-force', signedOn, validUntil, inForceFrom: signedOn };
  await tx.attestationLetter.create({ data: { id, partnerId, fileId: id, ...inForce } });
  await tx.partner.update({ where: { id: partnerId }, data: { attestedUntil: validUntil } });
}

const LETTER_DAYS = 365;

async function seedHouse(tx: Transaction, { houseId, flats }: TownPartner): Promise<void> {
  await tx.house.createMany({ data: [{ id: houseId }], skipDuplicates: true });
  const owners = { paid: RESIDENTS.anna.id, unpaid: RESIDENTS.boris.id };
  for (const standing of ['paid', 'unpaid'] as const) {
    const { propertyId, accountId, rightId } = flats[standing];
    await tx.property.createMany({
      data: [{ id: propertyId, houseId, kind: 'flat', billingAccountId: accountId }],
      skipDuplicates: true,
    });
    await tx.propertyRight.createMany({
      data: [{ id: rightId, residentId: owners[standing], propertyId, kind: 'owner', startsAt: new Date(0) }],
      skipDuplicates: true,
    });
  }
}

/** How we reach each partner: the same settings that an operator would enter. */
export function profileOf({ id }: TownPartner, { certificates, ports, secrets }: Seeding): PartnerProfile {
  const baseUrl = `https://localhost:${ports[id].toString()}`;
  const caPem = readFileSync(certificates.partnerCa, 'utf8');
  const connection = {
    baseUrl,
    caPem,
    apiVersion: 'v1' as const,
    timeoutMs: 3_000,
    maxConnections: 32,
    requestsPerSecond: 200,
  };
  switch (id) {
    case 'kluch':
      return {
        profile: 'basic-signed',
        ...connection,
        username: 'domovoy',
        keyId: 'domovoy-1',
        partnerKeys: [{ keyId: 'kluch-1', publicKeyPem: publicPem(secrets.fromKluchSigningKey.value) }],
      };
    case 'vizor':
      return { profile: 'oauth-client', ...connection, issuer: baseUrl, clientId: 'domovoy' };
    case 'shlagbaum':
      return {
        profile: 'mtls-oidc',
        ...connection,
        issuer: `${baseUrl}/oidc`,
        clientId: 'domovoy',
        grant: 'password',
        username: 'domovoy',
        certificatePem: readFileSync(certificates.ourClient.certificate, 'utf8'),
      };
  }
}

/** What we present to each partner. */
export function secretsFor(
  { id }: TownPartner,
  { secrets, certificates }: Seeding,
): Readonly<Partial<Record<SecretName, string>>> {
  switch (id) {
    case 'kluch':
      return { 'basic-password': secrets.toKluchPassword.value, 'signing-key': secrets.toKluchSigningKey.value };
    case 'vizor':
      return { 'client-secret': secrets.toVizorSecret.value };
    case 'shlagbaum':
      return {
        password: secrets.toShlagbaumPassword.value,
        'tls-key': readFileSync(certificates.ourClient.key, 'utf8'),
      };
  }
}

async function seedPartnerSecrets(tx: Transaction, partner: TownPartner, seeding: Seeding): Promise<void> {
  const ring = parseKeyRing(seeding.secrets.keyEncryptionKeys.value);
  const store = createSecretStore(localKeyEncryption(ring.keys, ring.currentId));
  const { id: owner, integration } = partner;
  for (const [name, value] of Object.entries(secretsFor(partner, seeding))) {
    const known = await store.get(tx, owner, name).catch(() => null);
    // What the files say was replaced since, by rotation; until then the key of a certificate goes with its file.
    const goesWithFile = name === 'tls-key' && known !== value && known?.includes('BEGIN CERTIFICATE') !== true;
    if (known === null || goesWithFile) await store.put(tx, { owner, name, integration, value });
  }
}

async function seedPartnerClient(tx: Transaction, partner: TownPartner, secrets: StackSecrets): Promise<void> {
  const ways = {
    kluch: { authMethod: 'basic_signed', secretHashes: [await slowHash(secrets.fromKluchPassword.value)] },
    vizor: { authMethod: 'client_secret_basic', secretHashes: [await slowHash(secrets.fromVizorSecret.value)] },
    shlagbaum: { authMethod: 'tls_client_auth', secretHashes: [], certificateName: 'shlagbaum.partner.example' },
  };
  const { id, integration } = partner;
  const client = { audience: 'partner', partnerId: id, integration, scopes: [...SCOPES.partner], ...ways[id] };
  const { scopes } = await tx.oAuthClient.upsert({ where: { id }, create: { id, ...client }, update: {} });
  const missing = await scopesToGive(tx, id, scopes);
  if (missing.length > 0) await tx.oAuthClient.update({ where: { id }, data: { scopes: { push: missing } } });
}

/** Scopes that came with a later version than the client did; none that a review took away (R4.3). */
async function scopesToGive(tx: Transaction, holder: string, held: readonly string[]): Promise<string[]> {
  const taken = await tx.accessReviewItem.findMany({
    where: { kind: 'client', holder, decision: { in: ['revoked', 'lapsed'] }, restoredAt: null },
    select: { granted: true },
  });
  return SCOPES.partner.filter((scope) => !held.includes(scope) && !taken.some(({ granted }) => granted === scope));
}

/** The company's own backends. */
async function seedOwnClients(tx: Transaction, secrets: StackSecrets): Promise<void> {
  const clients = [
    { id: APP_CLIENT_ID, audience: 'app', secret: secrets.appClient.value, messageKeys: [] },
    {
      id: REGISTRY_CLIENT_ID,
      audience: 'registry',
      secret: secrets.registryClient.value,
      messageKeys: [{ keyId: REGISTRY_KEY_ID, publicKeyPem: publicPem(secrets.registrySigningKey.value) }],
    },
  ] as const;
  for (const { id, audience, secret, messageKeys } of clients) {
    const authMethod = 'client_secret_basic';
    const row = { id, audience, authMethod, scopes: [...SCOPES[audience]], messageKeys: [...messageKeys] };
    const create = { ...row, secretHashes: [await slowHash(secret)] };
    await tx.oAuthClient.upsert({ where: { id }, create, update: { messageKeys: row.messageKeys } });
  }
}

async function seedFlatForSale(tx: Transaction): Promise<void> {
  const { partnerId, propertyId, accountId, rightId } = FLAT_FOR_SALE;
  const { houseId } = partnerById(partnerId);
  await tx.property.createMany({
    data: [{ id: propertyId, houseId, kind: 'flat', billingAccountId: accountId }],
    skipDuplicates: true,
  });
  await tx.propertyRight.createMany({
    data: [{ id: rightId, residentId: RESIDENTS.vera.id, propertyId, kind: 'owner', startsAt: new Date(0) }],
    skipDuplicates: true,
  });
}

/** PostgreSQL gives JSON members back in an order of its own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, member]) => [name, sorted(member)]));
}
