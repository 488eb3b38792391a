import { cancellationSignal } from '@temporalio/activity';
import type { AlarmDay, CredentialRef, CredentialStanding } from '../contracts/credentials';
import type { Integration } from '../contracts/ids';
import { certificateEndOf, hasCertificate } from '../partners/client-certificate';
import { newCredentialValue } from '../partners/credential-values';
import { PartnerError, toApplicationFailure } from '../partners/failure';
import { REPLACEABLE_SECRETS, type PartnerCall, type PartnerGateway, type ReplaceableSecret } from '../partners/ports';
import { sql, type Database } from '../prisma/database';
import { isFast, secretChecks, slowHash } from '../vault/slow-hash';
import type { SecretStore, SecretVersion } from '../vault/secrets';
import { credentialId, noteCredential, raiseExpiryAlarm } from './credential-evidence';
import { handToPerson, offerAgainIfLost } from './credential-handover';

export type CredentialRotationActivities = ReturnType<typeof createCredentialRotationActivities>;

/** Time of one call to a partner about credentials, milliseconds. */
const CALL_TIMEOUT_MS = 10_000;

type ClientRow = { client_id: string; partner_id: string; integration: string; created_at: Date };

/**
 * Effects of replacing a credential (P5). A value is stored before it leaves, goes from the vault to the partner and
 * nowhere else, and is never part of what an activity is given or gives back. The credential and the version make the
 * key of every call, so that a repeat changes nothing.
 */
export function createCredentialRotationActivities(deps: {
  integration: Integration;
  database: Database;
  gatewayOf: (partnerId: string) => Promise<PartnerGateway>;
  secrets: SecretStore;
}) {
  const { integration, database, secrets } = deps;

  /** Where the versions lie: presented ones under their own name, which adapters read them by. */
  const stored = ({ partnerId, direction, name }: CredentialRef) => ({
    owner: partnerId,
    name: direction === 'presented' ? name : `client/${name}`,
  });

  /** Versions that are used no longer and have not been seen to be refused. */
  const leftOver = (versions: readonly SecretVersion[]): SecretVersion[] =>
    versions.filter(({ state, destroyed }) => state === 'retired' && !destroyed);

  /** The hash that a version is kept by among those that are good for the client; `null`: it is good no more. */
  async function goodHashOf(credential: CredentialRef, version: number): Promise<string | null> {
    const { name: clientId } = credential;
    const [row] = await database.$queryRaw<{ hashes: string[] | null }[]>(
      sql`SELECT client_secret_hashes(${clientId}) AS hashes`,
    );
    const good = row?.hashes ?? [];
    const kept = await secrets.hashOf(database, stored(credential), version);
    if (kept !== null) return good.includes(kept) ? kept : null;
    // From before hashes were kept with their versions: it still has its value.
    return secretChecks.matching(clientId, await secrets.read(database, stored(credential), version), good);
  }

  /** Whether the partner takes the new one and, at the same time, refuses the old one: a refusal of everything proves nothing. */
  async function refuses(credential: CredentialRef, keep: number, old: number): Promise<boolean> {
    if (credential.direction === 'issued') return (await goodHashOf(credential, old)) === null;
    const value = await secrets.read(database, stored(credential), old);
    const { credentials } = await deps.gatewayOf(credential.partnerId);
    const name = replaceable(credential);
    const current = await secrets.read(database, stored(credential), keep);
    const call = callOf(credential, keep, 'check');
    if ((await credentials.check({ name, value: current }, call)) !== 'accepted') throw notAccepted();
    return (await credentials.check({ name, value }, call)) === 'refused';
  }

  /** Whether this version has been accepted: by the partner of us, or by us of the partner. */
  async function isAccepted(credential: CredentialRef, version: number): Promise<boolean> {
    if (credential.direction === 'issued') {
      const secretHash = await goodHashOf(credential, version);
      if (secretHash === null) return false;
      return (await database.secretSighting.count({ where: { clientId: credential.name, secretHash } })) > 0;
    }
    const value = await secrets.read(database, stored(credential), version);
    const { credentials } = await deps.gatewayOf(credential.partnerId);
    const shown = { name: replaceable(credential), value };
    return (await credentials.check(shown, callOf(credential, version, 'check'))) === 'accepted';
  }

  /** Whether the partner has no interface for credentials, so that a person carries them. */
  async function isCarried({ partnerId }: CredentialRef): Promise<boolean> {
    const { profile } = await database.partner.findUniqueOrThrow({
      where: { id: partnerId },
      select: { profile: true },
    });
    return (profile as { credentialDelivery?: unknown }).credentialDelivery === 'person';
  }

  /** Of what a partner shows us, leaves this version valid and nothing else. Tokens live on, which are short. */
  async function retireOthers(credential: CredentialRef, version: number): Promise<void> {
    const hash = await goodHashOf(credential, version);
    // Never none: of one that is not good nothing comes.
    if (hash === null) throw new Error('The version that is to be kept is not good.');
    await database.$executeRaw(sql`SELECT accept_only_client_secret(${credential.name}, ${hash})`);
  }

  /** Stored before its hash was: the partner uses it, so the value has no use any more. */
  async function forgetValue(credential: CredentialRef, version: number): Promise<void> {
    const hash = await goodHashOf(credential, version);
    // A fast one is replaced by a slow one when the partner next shows it (docs/adr/0041).
    if (hash !== null && !isFast(hash)) await secrets.note(database, stored(credential), version, { hash });
  }

  return {
    /** Every credential of the integration that can be replaced without a person. */
    async rotatingCredentials(): Promise<CredentialRef[]> {
      const rows = await database.secret.findMany({
        where: { integration, state: 'active', name: { in: [...REPLACEABLE_SECRETS] } },
        select: { owner: true, name: true },
      });
      const clients = await database.$queryRaw<ClientRow[]>(sql`SELECT * FROM clients_with_secrets()`);
      const active = await database.partner.findMany({ where: { integration, active: true }, select: { id: true } });
      const ids = new Set(active.map(({ id }) => id));
      return [
        ...rows.map(({ owner, name }): CredentialRef => ({
          integration,
          partnerId: owner,
          direction: 'presented',
          name,
        })),
        ...clients.map(({ client_id: name, partner_id: partnerId }): CredentialRef => ({
          integration,
          partnerId,
          direction: 'issued',
          name,
        })),
      ].filter(({ partnerId }) => ids.has(partnerId));
    },

    /** Brings what was stored by an earlier release to how it is kept now (docs/adr/0080). Changes nothing a second time. */
    async settleStoredCredentials(): Promise<void> {
      const rows = await database.secret.findMany({
        where: {
          ...{ integration, state: 'active', hash: null, wrapped: { not: null } },
          OR: [{ name: { startsWith: 'client/' } }, { name: 'tls-key', endsAt: null }],
        },
        select: { owner: true, name: true, version: true },
      });
      for (const { owner: partnerId, name, version } of rows) {
        if (name !== 'tls-key') {
          const clientId = name.slice('client/'.length);
          await forgetValue({ integration, partnerId, direction: 'issued', name: clientId }, version);
        } else {
          const of = { owner: partnerId, name };
          await secrets.note(database, of, version, {
            endsAt: certificateEndOf(await secrets.read(database, of, version)),
          });
        }
      }
    },

    /** @returns `null` when there is no such credential any more, or its partner is switched off */
    async credentialStanding(credential: CredentialRef): Promise<CredentialStanding | null> {
      const partner = await database.partner.findUnique({
        where: { id: credential.partnerId },
        select: { active: true },
      });
      if (partner?.active !== true) return null;
      const versions = await secrets.versions(database, stored(credential));
      const active = versions.find(({ state }) => state === 'active');
      const issuedAt = active?.issuedAt ?? (await clientSince(database, credential));
      if (!issuedAt) return null;
      return {
        issuedAt: issuedAt.toISOString(),
        pending: versions.find(({ state }) => state === 'pending')?.version ?? null,
        overlapping: leftOver(versions).length > 0 ? (active?.version ?? null) : null,
      };
    },

    /**
     * Stores a successor, unless there is one. What the partner is to show us is valid from then on.
     *
     * @param at when it is issued, ISO 8601: its life is counted by the clock of the execution
     * @returns its version
     */
    async issueCredential(credential: CredentialRef, at: string): Promise<number> {
      return database.$transaction(async (tx) => {
        const where = stored(credential);
        const versions = await secrets.versions(tx, where);
        const pending = versions.find(({ state }) => state === 'pending');
        if (pending) return pending.version;
        const next = (versions[0]?.version ?? 0) + 1;
        const value = await newCredentialValue(
          credential.direction === 'issued' ? 'client-secret' : replaceable(credential),
          partnerSideId(credential, next),
        );
        const hash = credential.direction === 'issued' ? await slowHash(value) : undefined;
        const version = await secrets.prepare(tx, { ...where, integration, value, hash, issuedAt: new Date(at) });
        if (hash !== undefined) {
          await tx.$executeRaw(sql`SELECT accept_client_secret(${credential.name}, ${hash})`);
        }
        await noteCredential(tx, credential, 'issued', `version-${version.toString()}`);
        return version;
      });
    },

    /** Has the partner accept the successor, or take it to show it to us. */
    async deliverCredential(credential: CredentialRef, version: number): Promise<void> {
      await atPartner(async () => {
        const where = stored(credential);
        const value = await secrets.read(database, where, version);
        if (await isCarried(credential)) {
          const isComplete = credential.name !== 'tls-key' || hasCertificate(value);
          return handToPerson(database, credential, { ...where, version }, isComplete);
        }
        const { credentials } = await deps.gatewayOf(credential.partnerId);
        const call = callOf(credential, version, 'deliver');
        if (credential.direction === 'issued') return credentials.handOver(value, call);
        const id = partnerSideId(credential, version);
        const complete = await credentials.add({ name: replaceable(credential), id, value }, call);
        if (complete === value) return;
        await secrets.complete(database, stored(credential), version, complete, certificateEndOf(complete));
      });
    },

    /** Ends when the successor has been accepted once: by the partner of us, or by us of the partner. */
    async proveCredential(credential: CredentialRef, version: number): Promise<void> {
      await atPartner(async () => {
        if (await isAccepted(credential, version)) return;
        const of = { ...stored(credential), version };
        if (await isCarried(credential)) await offerAgainIfLost(database, credential, of);
        throw notAccepted();
      });
    },

    /** From now on this version is the one that is used; the one before stays valid. What the partner has, we have no more. */
    async useCredential(credential: CredentialRef, version: number): Promise<void> {
      await database.$transaction(async (tx) => {
        const changed = await secrets.activate(tx, stored(credential), version);
        if (changed) await noteCredential(tx, credential, 'in-use', `version-${version.toString()}`);
      });
    },

    /** An urgent revocation: leaves this version valid at once, and no token that was got with another. */
    async acceptOnly(credential: CredentialRef, version: number): Promise<void> {
      const hash = await goodHashOf(credential, version);
      if (hash === null) throw new Error('The version that is to be kept is not good.');
      await database.$executeRaw(sql`SELECT revoke_other_client_secrets(${credential.name}, ${hash})`);
    },

    /** Ends the validity of every other version. */
    async retireOlder(credential: CredentialRef, keep: number): Promise<void> {
      if (credential.direction === 'issued') return retireOthers(credential, keep);
      // The partner's own people do it; that it was done is proven next.
      if (await isCarried(credential)) return;
      await atPartner(async () => {
        const { credentials } = await deps.gatewayOf(credential.partnerId);
        const kept = { name: replaceable(credential), keep: partnerSideId(credential, keep) };
        await credentials.retireOthers(kept, callOf(credential, keep, 'retire-older'));
      });
    },

    /** Ends when every older version has been seen to be refused; their values are destroyed then. */
    async proveRefused(credential: CredentialRef, keep: number): Promise<void> {
      await atPartner(async () => {
        const where = stored(credential);
        for (const { version } of leftOver(await secrets.versions(database, where))) {
          if (!(await refuses(credential, keep, version))) {
            throw new PartnerError('PartnerMisanswered', 'The partner still accepts a credential that it retired.');
          }
          await database.$transaction(async (tx) => {
            await secrets.destroy(tx, where, version);
            await noteCredential(tx, credential, 'refused', `version-${version.toString()}`);
          });
        }
      });
    },

    raiseExpiryAlarm: (credential: CredentialRef, day: AlarmDay, at: { now: string; end: string }): Promise<void> =>
      raiseExpiryAlarm(database, credential, day, at),
  };
}

/** What the partner knows a version by. */
const partnerSideId = ({ name }: CredentialRef, version: number): string => `domovoy-${name}-${version.toString()}`;

const callOf = (credential: CredentialRef, version: number, step: string): PartnerCall => ({
  idempotencyKey: `credential/${credentialId(credential)}/${version.toString()}/${step}`,
  signal: cancellationSignal(),
  timeoutMs: CALL_TIMEOUT_MS,
});

function replaceable({ name }: CredentialRef): ReplaceableSecret {
  const found = REPLACEABLE_SECRETS.find((each) => each === name);
  if (!found) throw new PartnerError('PartnerRejected', 'This secret is replaced by a person.');
  return found;
}

const notAccepted = (): PartnerError =>
  new PartnerError('PartnerUnauthorized', 'The new credential has not been accepted yet.');

async function atPartner(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw toApplicationFailure(error);
  }
}

/** A client's first secret is in no vault: it is as old as the client. */
async function clientSince(database: Database, { direction, name }: CredentialRef): Promise<Date | null> {
  if (direction === 'presented') return null;
  const rows = await database.$queryRaw<ClientRow[]>(
    sql`SELECT * FROM clients_with_secrets() WHERE client_id = ${name}`,
  );
  return rows[0]?.created_at ?? null;
}
