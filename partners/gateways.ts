import type { Database } from '../prisma/database';
import type { SecretStore } from '../vault/secrets';
import { PartnerError } from './failure';
import { createGateway } from './gateway';
import { measured, type PartnerMetrics } from './measured';
import type { PartnerGateway } from './ports';
import { PartnerProfile } from './profile';

export type Gateways = {
  /** The gateway of a partner that this process may see. @throws PartnerError when there is none or it is not active */
  readonly get: (partnerId: string) => Promise<PartnerGateway>;
  close(): Promise<void>;
};

/** Gateways by partner, built when first needed and anew when the partner's row changes: no code, no restart. */
export function createGateways({
  database,
  secretStore,
  metrics,
}: {
  database: Database;
  secretStore: SecretStore;
  metrics: PartnerMetrics;
}): Gateways {
  return keepGateways({
    async load(partnerId) {
      const row = await database.partner.findUnique({ where: { id: partnerId } });
      if (!row) return null;
      metrics.promised(partnerId, { availability: row.slaAvailability, latencyMs: row.slaLatencyMs });
      const of = { owner: partnerId, name: 'tls-key', state: 'active' };
      const identity = await database.secret.findFirst({ where: of, select: { version: true } });
      return { ...row, revision: row.revision * VERSIONS_AT_MOST + (identity?.version ?? 0) };
    },
    build: async (partnerId, profile) => {
      const gateway = await createGateway({
        partnerId,
        profile,
        secrets: (name) => secretStore.get(database, partnerId, name),
        agreed: async () => {
          const row = await database.partner.findUnique({ where: { id: partnerId }, select: { agreedFields: true } });
          return row?.agreedFields ?? [];
        },
      });
      return measured(gateway, metrics);
    },
  });
}

/** Both only rise: one number tells whether the row or our client certificate has changed. */
const VERSIONS_AT_MOST = 100_000;

/** What a gateway is built from. `revision` rises with every change of the row, and of our client certificate. */
export type PartnerRow = { readonly active: boolean; readonly revision: number; readonly profile: unknown };

type Kept = { readonly revision: number; readonly gateway: Promise<PartnerGateway> };

/**
 * Keeps one gateway for each partner, of the newest revision that was seen. A gateway that is replaced finishes
 * the calls that it is making before it closes; one that could not be built is not remembered.
 */
export function keepGateways(deps: {
  load: (partnerId: string) => Promise<PartnerRow | null>;
  build: (partnerId: string, profile: PartnerProfile) => Promise<PartnerGateway>;
}): Gateways {
  const kept = new Map<string, Kept>();

  function forget(partnerId: string): void {
    const known = kept.get(partnerId);
    kept.delete(partnerId);
    known?.gateway.then((gateway) => gateway.close()).catch(() => undefined);
  }

  async function build(partnerId: string, settings: unknown): Promise<PartnerGateway> {
    const profile = PartnerProfile.safeParse(settings);
    if (!profile.success) throw new PartnerError('PartnerRejected', "The partner's settings cannot be used.");
    return deps.build(partnerId, profile.data);
  }

  return {
    async get(partnerId) {
      const row = await deps.load(partnerId);
      if (!row?.active) {
        forget(partnerId);
        throw new PartnerError('PartnerRejected', 'There is no such partner.');
      }
      const known = kept.get(partnerId);
      // Rows that were read at the same time may arrive in any order: an older one replaces nothing.
      if (known && known.revision >= row.revision) return known.gateway;
      forget(partnerId);
      const next: Kept = { revision: row.revision, gateway: build(partnerId, row.profile) };
      kept.set(partnerId, next);
      next.gateway.catch(() => {
        if (kept.get(partnerId) === next) kept.delete(partnerId);
      });
      return next.gateway;
    },
    async close() {
      const gateways = await Promise.allSettled([...kept.values()].map(({ gateway }) => gateway));
      kept.clear();
      await Promise.all(gateways.flatMap((result) => (result.status === 'fulfilled' ? [result.value.close()] : [])));
    },
  };
}
