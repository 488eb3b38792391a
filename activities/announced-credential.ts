import { X509Certificate } from 'node:crypto';
import { CREDENTIAL_LIFE_MS, type CredentialRef } from '../contracts/credentials';
import type { Integration } from '../contracts/ids';
import { isGood, type AnnouncedState } from '../partners/announced';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import { sql, type Database, type Transaction } from '../prisma/database';
import type { PartnerCredential } from '../prisma/generated/client';
import { noteCredential, raiseExpiryAlarm } from './credential-evidence';
import type { CredentialRotationActivities } from './credential-rotation';

/** What marks an announcement by one of us (api/staff/announced-credentials.ts). */
const BY_STAFF = 'staff/';

/**
 * The steps of a rotation for what a partner makes itself (R0.6, R3.1): its client certificate, its key for signatures.
 * To deliver is that the partner announces a successor, to prove that it proves itself by it once, to retire that its
 * predecessor and the tokens that were got with it end. A version number stands for "this one or a later one": who
 * announces another number than was expected is waited for all the same.
 */
export function createAnnouncedCredentialActivities({
  integration,
  database,
}: {
  integration: Integration;
  database: Database;
}): CredentialRotationActivities {
  const versionsOf = ({ partnerId, name }: CredentialRef, tx: Transaction = database): Promise<PartnerCredential[]> =>
    tx.partnerCredential.findMany({ where: { partnerId, name }, orderBy: { version: 'desc' } });
  const pendingOf = async (credential: CredentialRef, tx: Transaction = database) =>
    (await versionsOf(credential, tx)).find(({ state }) => state === 'pending');
  const isInUse = async (credential: CredentialRef, atLeast: number): Promise<boolean> =>
    (await versionsOf(credential)).some(({ state, version }) => state === 'active' && version >= atLeast);

  /** Changes the state of rows, in the order of their versions, and says so. */
  async function enter(
    tx: Transaction,
    credential: CredentialRef,
    rows: readonly PartnerCredential[],
    state: AnnouncedState,
  ) {
    for (const { version } of rows.toReversed()) {
      const { partnerId, name } = credential;
      await tx.partnerCredential.updateMany({ where: { partnerId, name, version }, data: { state } });
      await noteCredential(tx, credential, state === 'active' ? 'in-use' : state, `version-${version.toString()}`);
    }
  }

  return {
    async rotatingCredentials() {
      const rows = await database.partnerCredential.groupBy({
        by: ['partnerId', 'name'],
        where: { integration, partner: { active: true } },
        orderBy: [{ partnerId: 'asc' }, { name: 'asc' }],
      });
      return rows.map(({ partnerId, name }) => ({ integration, partnerId, direction: 'announced', name }));
    },

    /** None of them was ever kept otherwise. */
    settleStoredCredentials: () => Promise.resolve(),

    async credentialStanding(credential) {
      const partner = await database.partner.findUnique({
        where: { id: credential.partnerId },
        select: { active: true },
      });
      const versions = await versionsOf(credential);
      const active = versions.find(({ state }) => state === 'active');
      const newest = active ?? versions[0];
      if (partner?.active !== true || !newest) return null;
      const pending = versions.find(({ state }) => state === 'pending')?.version ?? null;
      return {
        issuedAt: countsFrom(newest),
        // Revoked, and nothing came since: there is no end of life to wait for.
        pending: pending ?? (active ? null : newest.version + 1),
        overlapping: active && leftOver(versions).length > 0 ? active.version : null,
      };
    },

    /** It is the partner's to make. @returns the number that it will have */
    async issueCredential(credential) {
      const versions = await versionsOf(credential);
      const pending = versions.find(({ state }) => state === 'pending');
      return pending?.version ?? (versions[0]?.version ?? 0) + 1;
    },

    async deliverCredential(credential, version) {
      if ((await pendingOf(credential)) ?? (await isInUse(credential, version))) return;
      throw toApplicationFailure(refusal('The partner has announced no successor yet.'));
    },

    async proveCredential(credential, version) {
      const pending = await pendingOf(credential);
      if (pending?.usedAt ?? (await isInUse(credential, version))) return;
      throw toApplicationFailure(refusal('The partner has not proven itself by its new credential yet.'));
    },

    async useCredential(credential) {
      await database.$transaction(async (tx) => {
        const versions = await versionsOf(credential, tx);
        const pending = versions.filter(({ state, usedAt }) => state === 'pending' && usedAt !== null);
        if (pending.length === 0) return;
        const active = versions.filter(({ state }) => state === 'active');
        await enter(tx, credential, active, 'retiring');
        await enter(tx, credential, pending, 'active');
      });
    },

    /** In wrong hands: whoever has it may also have announced what is there. Only what staff brought is left. */
    async acceptOnly(credential) {
      await database.$transaction(async (tx) => {
        const revoked = (await versionsOf(credential, tx)).filter(
          ({ state, announcedBy }) => isGood(state) && !(state === 'pending' && announcedBy.startsWith(BY_STAFF)),
        );
        await enter(tx, credential, revoked, 'retired');
      });
    },

    async retireOlder(credential) {
      await database.$transaction(async (tx) => {
        const over = (await versionsOf(credential, tx)).filter(({ state }) => state === 'retiring');
        await enter(tx, credential, over, 'retired');
      });
    },

    /** The API keeps none of these rows: what it reads at each request is what is read here. */
    async proveRefused(credential) {
      for (const { partnerId, name, version, keyId } of leftOver(await versionsOf(credential))) {
        if (name === 'client-certificate' && (await tokensOf(database, partnerId, keyId)) > 0) {
          throw toApplicationFailure(refusal('Tokens of the retired certificate are left.'));
        }
        await database.$transaction(async (tx) => {
          const { count } = await tx.partnerCredential.updateMany({
            where: { partnerId, name, version, state: 'retired', refusedAt: null },
            data: { refusedAt: new Date() },
          });
          if (count > 0) await noteCredential(tx, credential, 'refused', `version-${version.toString()}`);
        });
      }
    },

    raiseExpiryAlarm: (credential, day, at) => raiseExpiryAlarm(database, credential, day, at),
  };
}

/** In an overlap that nobody ended, or retired and not seen to be refused. */
const leftOver = (versions: readonly PartnerCredential[]): PartnerCredential[] =>
  versions.filter(({ state, refusedAt }) => state === 'retiring' || (state === 'retired' && refusedAt === null));

/** When its life began, ISO 8601: a certificate that ends before its life would is as old as that makes it. */
function countsFrom({ name, publicPem, announcedAt }: PartnerCredential): string {
  if (name !== 'client-certificate') return announcedAt.toISOString();
  const endMs = Date.parse(new X509Certificate(publicPem).validTo);
  return new Date(Math.min(announcedAt.getTime(), endMs - CREDENTIAL_LIFE_MS)).toISOString();
}

async function tokensOf(database: Database, partnerId: string, thumbprint: string): Promise<number> {
  const [row] = await database.$queryRaw<{ count: number }[]>(
    sql`SELECT tokens_of_certificate(${partnerId}, ${thumbprint}) AS count`,
  );
  return row?.count ?? 0;
}

const refusal = (message: string): PartnerError => new PartnerError('PartnerUnauthorized', message);
