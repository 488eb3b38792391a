import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DATA_SET_FIELDS } from '../../partners/data-set';
import { createGateway } from '../../partners/gateway';
import type { NoteRequest } from '../../partners/noted-request';
import type { PartnerGateway } from '../../partners/ports';
import { PartnerProfile, type PartnerSecrets } from '../../partners/profile';
import { readConfig } from '../../sandbox/config-file';
import { PartnersConfig } from '../../sandbox/partners/config';
import { startSimulator } from '../../sandbox/partners/simulator';
import { ensureCertificates } from '../../stack/certificates';
import { writeSandboxConfiguration } from '../../stack/sandbox-configuration';
import { stackSecrets } from '../../stack/secrets';
import { profileOf, secretsFor } from '../../stack/seed';
import { openStateFolder } from '../../stack/state-folder';
import { PARTNERS, type TownPartner } from '../../stack/town';
import { freeStackPorts } from '../support/free-ports';
import { until } from '../support/until';

/** One way to speak to one partner: what the contract suite holds to the same contract as every other. */
export type Adapter = {
  readonly name: string;
  readonly partner: TownPartner;
  /** Changes to the settings that the town's partner has. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Whether it carries tokens of the partner's authorization server. */
  readonly hasTokens: boolean;
};

const townPartner = (id: TownPartner['id']): TownPartner => {
  const found = PARTNERS.find((partner) => partner.id === id);
  if (!found) throw new Error(`There is no partner ${id}.`);
  return found;
};

export const BASIC_SIGNED: Adapter = {
  name: 'basic-signed',
  partner: townPartner('kluch'),
  settings: {},
  hasTokens: false,
};
export const OAUTH_CLIENT: Adapter = {
  name: 'oauth-client',
  partner: townPartner('vizor'),
  settings: {},
  hasTokens: true,
};
export const MTLS_PASSWORD: Adapter = {
  name: 'mtls-oidc by password',
  partner: townPartner('shlagbaum'),
  settings: {},
  hasTokens: true,
};
export const MTLS_CERTIFICATE: Adapter = {
  name: 'mtls-oidc by certificate',
  partner: townPartner('shlagbaum'),
  settings: { grant: 'client-certificate', username: undefined },
  hasTokens: true,
};
export const ADAPTERS: readonly Adapter[] = [BASIC_SIGNED, OAUTH_CLIENT, MTLS_PASSWORD, MTLS_CERTIFICATE];

/** One effect in a partner's ledger. */
export type Effect = {
  readonly key: string;
  readonly kind: string;
  readonly commandId: string | null;
  readonly deviceId: string | null;
  readonly subject: string | null;
  readonly houseId: string | null;
  readonly attempts: number;
};

/** One call as the partner's list has it. */
export type Arrived = {
  readonly endpoint: string;
  readonly method: string;
  readonly target: string;
  readonly fields: readonly string[];
  readonly headers: readonly string[];
  readonly digests: Readonly<Record<string, string>>;
  readonly status: number | null;
};

export type Holdings = {
  readonly faces: readonly {
    readonly clientId: string;
    readonly houseId: string;
    readonly state: string;
    readonly hasVector: boolean;
    readonly photoSha256: string | null;
  }[];
  readonly plates: { readonly held: readonly { readonly plate: string; readonly houseId: string }[] };
};

type GatewayOptions = {
  /** Changes to the settings, beside the adapter's own. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly agreed?: () => readonly string[];
  readonly secrets?: (stored: PartnerSecrets) => PartnerSecrets;
  readonly note?: NoteRequest;
};

/** The town's three partners on free ports, over real TLS, and gateways to them as the product builds them. */
export async function startTown() {
  const folder = openStateFolder({ DOMOVOY_STATE_DIR: mkdtempSync(join(tmpdir(), 'domovoy-partners-')) });
  const certificates = await ensureCertificates(folder.certificates);
  const secrets = stackSecrets(folder);
  const ports = await freeStackPorts();
  const seeding = { secrets, certificates, ports };
  const apiUrl = `https://localhost:${ports.api.toString()}`;
  const configuration = writeSandboxConfiguration({ folder, ...seeding, apiUrl });
  const simulator = await startSimulator(readConfig(configuration.partners, PartnersConfig), (error) => {
    throw error instanceof Error ? error : new Error('The simulator failed.');
  });
  const controlUrl = `http://127.0.0.1:${ports.sandboxControl.toString()}`;
  const gateways: PartnerGateway[] = [];
  const touched = new Set<TownPartner['id']>();

  async function control<T>(method: string, path: string, body?: unknown): Promise<T> {
    const json = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const answer = await fetch(controlUrl + path, { method, ...(body !== undefined && json) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`The sandbox refused: ${answer.status.toString()} ${text}`);
    return (text === '' ? null : JSON.parse(text)) as T;
  }

  const arrivals = async ({ partner }: Adapter): Promise<readonly Arrived[]> =>
    (await control<{ calls: Arrived[] }>('GET', `/partners/${partner.id}/calls`)).calls;

  return {
    control,
    /** `host:port` of the partner. */
    authority: ({ partner }: Adapter): string => `localhost:${ports[partner.id].toString()}`,

    /** Has shlagbaum accept the certificate again that it was configured with. */
    async acceptFirstCertificate(id: string): Promise<void> {
      const certificate = readFileSync(certificates.ourClient.certificate, 'utf8');
      const again = { type: 'certificate', id, clientId: 'domovoy', certificate };
      await control('POST', '/partners/shlagbaum/credentials', again);
    },

    async gateway({ partner, settings }: Adapter, options: GatewayOptions = {}): Promise<PartnerGateway> {
      const stored = secretsFor(partner, seeding);
      const read: PartnerSecrets = (name) => {
        const value = stored[name];
        return value === undefined ? Promise.reject(new Error(`There is no ${name}.`)) : Promise.resolve(value);
      };
      const gateway = await createGateway({
        partnerId: partner.id,
        profile: PartnerProfile.parse({ ...profileOf(partner, seeding), ...settings, ...options.settings }),
        secrets: options.secrets?.(read) ?? read,
        agreed: () => Promise.resolve(options.agreed?.() ?? DATA_SET_FIELDS),
        ...(options.note && { note: options.note }),
      });
      gateways.push(gateway);
      touched.add(partner.id);
      return gateway;
    },

    /** Puts a fault on an endpoint of the partner; sandbox/README.md lists them. */
    break: async ({ partner }: Adapter, fault: Readonly<Record<string, unknown>>): Promise<void> => {
      await control('POST', `/partners/${partner.id}/faults`, fault);
    },
    mend: async ({ partner }: Adapter): Promise<void> => {
      await control('DELETE', `/partners/${partner.id}/faults`);
    },
    /** How many calls the partner's faults have struck. */
    struck: async ({ partner }: Adapter): Promise<number> => {
      const { faults } = await control<{ faults: { struck: number }[] }>('GET', `/partners/${partner.id}/faults`);
      return faults.reduce((sum, { struck }) => sum + struck, 0);
    },

    effects: async ({ partner }: Adapter, key: string): Promise<readonly Effect[]> => {
      const query = new URLSearchParams({ partner: partner.id, key }).toString();
      return (await control<{ entries: Effect[] }>('GET', `/ledger?${query}`)).entries;
    },
    effectsAt: async ({ partner }: Adapter, deviceId: string): Promise<readonly Effect[]> => {
      const query = new URLSearchParams({ partner: partner.id, deviceId }).toString();
      return (await control<{ entries: Effect[] }>('GET', `/ledger?${query}`)).entries;
    },
    holdings: ({ partner }: Adapter): Promise<Holdings> => control('GET', `/partners/${partner.id}/holdings`),

    arrivals,
    /** Waits until so many calls have come to this endpoint and were ended: the list has them when they end. */
    async arrivalsAt(adapter: Adapter, endpoint: string, count: number): Promise<readonly Arrived[]> {
      const there = async () => (await arrivals(adapter)).filter((call) => call.endpoint === endpoint);
      await until(`${count.toString()} calls at ${endpoint}`, async () => (await there()).length >= count);
      return there();
    },
    forgetArrivals: async ({ partner }: Adapter): Promise<void> => {
      await control('DELETE', `/partners/${partner.id}/calls`);
    },

    /** Between tests: partners whole, and their lists of calls empty. */
    async tidy(): Promise<void> {
      for (const id of touched) {
        await control('DELETE', `/partners/${id}/faults`);
        await control('DELETE', `/partners/${id}/calls`);
      }
    },
    async stop(): Promise<void> {
      await Promise.all(gateways.map((gateway) => gateway.close()));
      await simulator.close();
      rmSync(folder.path, { recursive: true, force: true });
    },
  };
}
export type Town = Awaited<ReturnType<typeof startTown>>;

const picture = (name: string): Buffer => readFileSync(join(__dirname, '../../sandbox/media', name));
/** A face that can be used. */
export const FACE = picture('resident.jpg');
