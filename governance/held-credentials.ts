import { CREDENTIAL_LIFE_MS, OWN_CREDENTIALS } from '../contracts/credentials';
import { sql, type Database } from '../prisma/database';

/** A credential that is in use: what we show partners, what others show us, what we sign with. Never its value. */
export type HeldCredential = {
  readonly owner: string;
  readonly name: string;
  readonly issuedAt: Date;
  readonly heldBy: 'us' | 'partner';
  /** Of a partner that is switched off: nothing replaces it, and it may be good there all the same. */
  readonly isOff?: boolean;
};

/** When a credential has to be replaced (R0.6). */
export const dueAt = ({ issuedAt }: HeldCredential): Date => new Date(issuedAt.getTime() + CREDENTIAL_LIFE_MS);

/** Those that replace themselves. */
export async function rotatingCredentials(database: Database): Promise<HeldCredential[]> {
  const held = await Promise.all([keptInVault(database), announcedByPartners(database), ownKeysOf(database)]);
  return held.flat();
}

export const DOCUMENT_KEY = 'document-signing-key';

/** Those that a person replaces: the secrets of our own backends, and the key of our documents. */
export async function credentialsOfPersons(database: Database): Promise<HeldCredential[]> {
  const held = await Promise.all([ownClientsOf(database), documentKeyOf(database)]);
  return held.flat();
}

async function keptInVault(database: Database): Promise<HeldCredential[]> {
  const off = await database.partner.findMany({ where: { active: false }, select: { id: true } });
  const isOff = (partnerId: string): boolean => off.some(({ id }) => id === partnerId);
  const rows = await database.secret.findMany({
    where: { state: 'active' },
    select: { owner: true, name: true, createdAt: true },
    orderBy: [{ owner: 'asc' }, { name: 'asc' }],
  });
  const clients = await database.oAuthClient.findMany({
    where: { partnerId: { not: null }, active: true, authMethod: { not: 'tls_client_auth' } },
    select: { id: true, partnerId: true, createdAt: true },
    orderBy: { id: 'asc' },
  });
  const stored = rows.map(({ owner, name, createdAt: issuedAt }) => ({
    owner,
    name,
    issuedAt,
    heldBy: name.startsWith('client/') ? ('partner' as const) : ('us' as const),
    isOff: isOff(owner),
  }));
  // A client's first secret is in no vault: it is as old as the client.
  const first = clients.filter(({ id }) => !stored.some(({ name }) => name === `client/${id}`));
  return [
    ...stored,
    ...first.map(({ id, partnerId, createdAt: issuedAt }) => ({
      owner: partnerId ?? '',
      name: `client/${id}`,
      issuedAt,
      heldBy: 'partner' as const,
      isOff: isOff(partnerId ?? ''),
    })),
  ];
}

/** What partners made themselves: the version in use of each, as old as its announcement (R0.6). */
async function announcedByPartners(database: Database): Promise<HeldCredential[]> {
  const rows = await database.partnerCredential.findMany({
    where: { state: 'active', partner: { active: true } },
    select: { partnerId: true, name: true, announcedAt: true },
    orderBy: [{ partnerId: 'asc' }, { name: 'asc' }],
  });
  return rows.map(({ partnerId: owner, name, announcedAt: issuedAt }) => ({
    owner,
    name: `announced/${name}`,
    issuedAt,
    heldBy: 'partner',
  }));
}

/** The keys of our tokens and of our answers. */
async function ownKeysOf(database: Database): Promise<HeldCredential[]> {
  const rows = await database.ownSigningKey.findMany({
    where: { state: 'signing' },
    select: { purpose: true, createdAt: true },
    orderBy: { purpose: 'desc' },
  });
  return OWN_CREDENTIALS.flatMap(({ purpose, credential: { partnerId: owner, name } }): HeldCredential[] => {
    const row = rows.find((each) => each.purpose === purpose);
    return row ? [{ owner, name, issuedAt: row.createdAt, heldBy: 'us' }] : [];
  });
}

/** The company's own backends at our authorization server: the app's, the property registry's. */
async function ownClientsOf(database: Database): Promise<HeldCredential[]> {
  const rows = await database.oAuthClient.findMany({
    where: { partnerId: null, active: true },
    select: { id: true, createdAt: true, secretIssuedAt: true },
    orderBy: { id: 'asc' },
  });
  return rows.map(({ id, createdAt, secretIssuedAt }) => ({
    owner: 'domovoy',
    name: `client/${id}`,
    issuedAt: secretIssuedAt ?? createdAt,
    heldBy: 'us',
  }));
}

/** It comes from the configuration and is in no table: as old as the first head of the journal that it signed. */
async function documentKeyOf(database: Database): Promise<HeldCredential[]> {
  const newest = await database.journalHead.findFirst({ orderBy: { treeSize: 'desc' }, select: { document: true } });
  const protectedHead = (newest?.document as { protected?: unknown } | null)?.protected;
  if (typeof protectedHead !== 'string') return [];
  const [first] = await database.$queryRaw<{ at: Date }[]>(sql`
    SELECT at FROM journal_heads WHERE document ->> 'protected' = ${protectedHead} ORDER BY tree_size LIMIT 1`);
  return first ? [{ owner: 'domovoy', name: DOCUMENT_KEY, issuedAt: first.at, heldBy: 'us' }] : [];
}
