import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { parseKeyRing } from '../../config/environment';
import { OWN_CREDENTIALS, type CredentialRef } from '../../contracts/credentials';
import { credentialRotationWorkflowId, TASK_QUEUES, type Integration } from '../../contracts/ids';
import { withAnnouncedKeys } from '../../partners/announced';
import { DATA_SET_FIELDS } from '../../partners/data-set';
import { createGateway } from '../../partners/gateway';
import type { PartnerGateway, ReplaceableSecret } from '../../partners/ports';
import { PartnerProfile, type PartnerSecrets } from '../../partners/profile';
import { stackPorts } from '../../stack/ports';
import { secretsFor } from '../../stack/seed';
import { PARTNERS, type TownPartner } from '../../stack/town';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createSecretStore, type SecretVersion } from '../../vault/secrets';
import { revokeNow } from '../../workflows/credential-rotation/start';
import type { Harness } from './harness';
import { ended } from './until';

const named = (id: TownPartner['id']): TownPartner => {
  const found = PARTNERS.find((partner) => partner.id === id);
  if (!found) throw new Error(`There is no partner ${id}.`);
  return found;
};

type PartnerCredential = CredentialRef & { readonly integration: Integration };

const presented = (id: TownPartner['id'], name: string): PartnerCredential => ({
  integration: named(id).integration,
  partnerId: id,
  direction: 'presented',
  name,
});
const issued = (id: TownPartner['id']): PartnerCredential => ({ ...presented(id, id), direction: 'issued' });

/** What the town's partners and we show each other and can replace without a person. */
export const PRESENTED = [
  presented('kluch', 'basic-password'),
  presented('kluch', 'signing-key'),
  presented('vizor', 'client-secret'),
  presented('shlagbaum', 'password'),
  presented('shlagbaum', 'tls-key'),
];
export const ISSUED = [issued('kluch'), issued('vizor')];
export const CREDENTIALS = [...PRESENTED, ...ISSUED];
/** What partners of the town make themselves. */
export const MESSAGE_KEY: PartnerCredential = { ...presented('kluch', 'message-key'), direction: 'announced' };
export const CERTIFICATE: PartnerCredential = {
  ...presented('shlagbaum', 'client-certificate'),
  direction: 'announced',
};

export const rotationOf = ({ partnerId, direction, name }: CredentialRef): string =>
  credentialRotationWorkflowId(partnerId, direction, name);
export const objectIdOf = ({ partnerId, direction, name }: CredentialRef): string =>
  `${partnerId}/${direction}/${name}`;

/** What the sandbox calls them. */
const TYPES_AT_PARTNERS: Readonly<Record<ReplaceableSecret, string>> = {
  'basic-password': 'password',
  'signing-key': 'key',
  'client-secret': 'secret',
  password: 'password',
  'tls-key': 'certificate',
};

/** The vault as the tables' owner reads it, and gateways that show what a test wants. */
export function credentialsOf(h: Harness) {
  const ring = parseKeyRing(h.secrets.keyEncryptionKeys.value);
  const store = createSecretStore(localKeyEncryption(ring.keys, ring.currentId));
  const where = ({ partnerId, direction, name }: CredentialRef) => ({
    owner: partnerId,
    name: direction === 'presented' ? name : `client/${name}`,
  });

  async function gateway(partnerId: string, secrets: PartnerSecrets): Promise<PartnerGateway> {
    const row = await h.owner.partner.findUniqueOrThrow({ where: { id: partnerId } });
    const agreed = () => Promise.resolve(DATA_SET_FIELDS);
    const announced = await h.owner.partnerCredential.findMany({ where: { partnerId, name: 'message-key' } });
    const profile = withAnnouncedKeys(PartnerProfile.parse(row.profile), announced);
    return createGateway({ partnerId, profile, secrets, agreed });
  }
  const current =
    (partnerId: string): PartnerSecrets =>
    (name) =>
      store.get(h.owner, partnerId, name);

  /** Opens the door with what the gateway shows. @returns `opened`, or the name of the failure */
  async function opening(made: PartnerGateway, { id, doorDeviceId }: TownPartner): Promise<string> {
    const commandId = `test/${randomUUID()}`;
    const notAfter = new Date(Date.now() + 60_000).toISOString();
    const call = { idempotencyKey: commandId, signal: new AbortController().signal };
    try {
      return (await made.doors.open({ commandId, deviceId: doorDeviceId, kind: 'door', notAfter }, call)).result;
    } catch (error) {
      return `${id}: ${String((error as { type?: unknown }).type)}`;
    } finally {
      await made.close();
    }
  }

  /** Keys that we sign with in the words for secrets. */
  async function ownKeys({ name }: CredentialRef): Promise<SecretVersion[]> {
    const purpose = OWN_CREDENTIALS.find(({ credential }) => credential.name === name)?.purpose ?? '';
    const rows = await h.owner.ownSigningKey.findMany({ where: { purpose }, orderBy: { version: 'desc' } });
    const states = { published: 'pending', signing: 'active', retiring: 'retired', retired: 'retired' } as const;
    return rows.map(({ version, state, createdAt: issuedAt, wrapped }) => {
      return { version, state: states[state as keyof typeof states], issuedAt, destroyed: wrapped === null };
    });
  }

  async function announced({ partnerId, name }: CredentialRef): Promise<SecretVersion[]> {
    const rows = await h.owner.partnerCredential.findMany({
      where: { partnerId, name },
      orderBy: { version: 'desc' },
    });
    const states = { pending: 'pending', active: 'active', retiring: 'retired', retired: 'retired' } as const;
    return rows.map(({ version, state, announcedAt: issuedAt, refusedAt }) => {
      return { version, state: states[state as keyof typeof states], issuedAt, destroyed: refusedAt !== null };
    });
  }

  return {
    versions: async (credential: CredentialRef): Promise<SecretVersion[]> => {
      if (credential.direction === 'announced') return announced(credential);
      return credential.direction === 'own' ? ownKeys(credential) : store.versions(h.owner, where(credential));
    },
    /** States of what a partner announced, oldest first. */
    standing: async ({ partnerId, name }: CredentialRef): Promise<string[]> =>
      (await h.owner.partnerCredential.findMany({ where: { partnerId, name }, orderBy: { version: 'asc' } })).map(
        ({ state }) => state,
      ),
    /** The partner makes a key for its signatures and announces it. @returns our answer, and how to sign with it */
    async announceMessageKey(keyId: string) {
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      const publicKeyPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
      const body = { name: 'message-key', keyId, publicKeyPem };
      const answer = await h.sandbox.callCompany('kluch', '/partner/v1/credentials', body);
      const signingKey = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
      return { answer, body, own: { signingKeyId: keyId, signingKey } };
    },
    /** The value of a version, as long as it lies in the vault. */
    valueOf: (credential: CredentialRef, version: number) => store.read(h.owner, where(credential), version),
    /** What the partner shows us: it is the partner's to tell. */
    async shownBy(partnerId: string): Promise<string> {
      const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/own-credentials`);
      const { password, clientSecret } = (await answer.json()) as { password?: string; clientSecret?: string };
      return password ?? clientSecret ?? '';
    },
    /** The hash that a version of what a partner shows us is kept by. */
    hashOf: (credential: CredentialRef, version: number) => store.hashOf(h.owner, where(credential), version),
    /** Opens with what the vault says now. */
    openWithCurrent: async (partnerId: string) =>
      opening(await gateway(partnerId, current(partnerId)), named(partnerId as TownPartner['id'])),
    /** Opens with everything current but this one, which is the first that there was. */
    async openWithFirst({ partnerId, name }: CredentialRef): Promise<string> {
      const partner = named(partnerId as TownPartner['id']);
      const first = secretsFor(partner, { secrets: h.secrets, certificates: h.certificates, ports: stackPorts({}) });
      const secrets: PartnerSecrets = (wanted) =>
        wanted === name ? Promise.resolve(first[wanted] ?? '') : current(partnerId)(wanted);
      return opening(await gateway(partnerId, secrets), partner);
    },
    /** Enters at the partner what it is to show us from now on. */
    async adopt(partnerId: string, own: object): Promise<void> {
      await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/own-credentials`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(own),
      });
    },
    /** Lets the partner call us with the first secret that we gave it, and then with its own again. @returns our status */
    async callWithFirst(partnerId: string): Promise<number | null> {
      const first =
        partnerId === 'kluch'
          ? { password: h.secrets.fromKluchPassword.value }
          : { clientSecret: h.secrets.fromVizorSecret.value };
      await this.adopt(partnerId, first);
      return this.call(partnerId);
    },
    /** A call of the partner to us: a key has opened. */
    async call(partnerId: string): Promise<number | null> {
      const { doorDeviceId: deviceId } = named(partnerId as TownPartner['id']);
      const body = { eventId: randomUUID(), deviceId, keyId: 'key-1', at: new Date().toISOString() };
      return (await h.sandbox.callCompany(partnerId, '/partner/v1/webhooks/key-openings', body)).status;
    },
    /** As if it had been issued so long ago. */
    async age(credential: CredentialRef, days: number): Promise<void> {
      const createdAt = new Date(Date.now() - days * 86_400_000);
      if (credential.direction === 'presented') {
        await h.owner.secret.updateMany({ where: { ...where(credential), state: 'active' }, data: { createdAt } });
      } else await h.owner.oAuthClient.update({ where: { id: credential.name }, data: { createdAt } });
    },
    /** Begins what the schedules begin. Waits without skipping time. */
    async round(): Promise<void> {
      for (const taskQueue of TASK_QUEUES) {
        const workflowId = `credential-round/${taskQueue}`;
        const args = [{ integration: taskQueue === 'core' ? null : taskQueue }];
        await h.temporal.client.workflow.start('credentialRoundWorkflow', { workflowId, taskQueue, args });
        await ended(h, workflowId);
      }
    },
    /** Ids of what the partner accepts of us as this credential. */
    async accepted({ partnerId, name }: CredentialRef): Promise<string[]> {
      const answer = await fetch(`${h.sandboxControlUrl}/partners/${partnerId}/credentials`);
      const { accepted } = (await answer.json()) as { accepted: { id: string; type: string }[] };
      return accepted.filter(({ type }) => type === TYPES_AT_PARTNERS[name as ReplaceableSecret]).map(({ id }) => id);
    },
    /** It may be in wrong hands: begins its execution if it has none, and has it replaced now. */
    revoke: (credential: CredentialRef) => revokeNow(h.temporal.client, credential),
    start: (credential: CredentialRef) =>
      h.temporal.client.workflow.start('credentialRotationWorkflow', {
        workflowId: rotationOf(credential),
        taskQueue: credential.integration ?? 'core',
        args: [credential],
      }),
    outcomes: async (credential: CredentialRef) =>
      (
        await h.owner.journalEntry.findMany({
          where: { kind: 'credential', objectId: objectIdOf(credential) },
          orderBy: { seq: 'asc' },
        })
      ).map(({ outcome, reason }) => `${outcome ?? ''} ${reason ?? ''}`),
  };
}
export type CredentialsOf = ReturnType<typeof credentialsOf>;
