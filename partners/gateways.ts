import type { NoteCall } from '../contracts/partner-calls';
import type { Database } from '../prisma/database';
import type { SecretStore } from '../vault/secrets';
import { withAnnouncedKeys } from './announced';
import { PartnerError } from './failure';
import { createGateway } from './gateway';
import { measured, type PartnerMetrics } from './measured';
import type { PartnerGateway } from './ports';
import { PartnerProfile } from './profile';

export type Gateways = {
  /**
   * The gateway of a partner that this process may see.
   *
   * @param revision of the partner's row, active, when the caller has just read it: then it is not read once more
   * @throws PartnerError when there is none or it is not active
   */
  readonly get: (partnerId: string, revision?: number) => Promise<PartnerGateway>;
  close(): Promise<void>;
};

/** Gateways by partner, built when first needed and anew when the partner's row changes: no code, no restart. */
export function createGateways({
  database,
  secretStore,
  metrics,
  note,
}: {
  database: Database;
  secretStore: SecretStore;
  metrics: PartnerMetrics;
  /** Told of requests that are no operation of a gateway, and so are not measured. */
  note: NoteCall;
}): Gateways {
  return keepGateways({
    load: (partnerId) => database.partner.findUnique({ where: { id: partnerId }, include: ANNOUNCED_KEYS }),
    build: async (partnerId, profile, agreedFields) => {
      const gateway = await createGateway({
        partnerId,
        profile,
        secrets: (name) => secretStore.get(database, partnerId, name),
        agreed: () => Promise.resolve(agreedFields),
        note: (...request) => {
          note(partnerId, ...request);
        },
      });
      return measured(gateway, metrics);
    },
  });
}

const ANNOUNCED_KEYS = { credentials: { where: { name: 'message-key' } } } as const;

/** What a gateway is built from. `revision` rises with every change of the row, and of what we show the partner. */
export type PartnerRow = {
  readonly active: boolean;
  readonly revision: number;
  readonly profile: unknown;
  readonly agreedFields: readonly string[];
  /** Keys that the partner announced for its signatures, in whatever state; left out: none. */
  readonly credentials?: Parameters<typeof withAnnouncedKeys>[1];
};

type Kept = { readonly revision: number; readonly gateway: Promise<PartnerGateway> };

/**
 * Keeps one gateway for each partner, of the newest revision that was seen. A gateway that is replaced finishes
 * the calls that it is making before it closes; one that could not be built is not remembered.
 */
export function keepGateways(deps: {
  load: (partnerId: string) => Promise<PartnerRow | null>;
  build: (partnerId: string, profile: PartnerProfile, agreedFields: readonly string[]) => Promise<PartnerGateway>;
}): Gateways {
  const kept = new Map<string, Kept>();

  function forget(partnerId: string): void {
    const known = kept.get(partnerId);
    kept.delete(partnerId);
    known?.gateway.then((gateway) => gateway.close()).catch(() => undefined);
  }

  async function build(partnerId: string, row: PartnerRow): Promise<PartnerGateway> {
    const profile = PartnerProfile.safeParse(row.profile);
    if (!profile.success) throw new PartnerError('PartnerRejected', "The partner's settings cannot be used.");
    return deps.build(partnerId, withAnnouncedKeys(profile.data, row.credentials ?? []), row.agreedFields);
  }

  return {
    async get(partnerId, revision) {
      const current = kept.get(partnerId);
      if (current && revision !== undefined && current.revision >= revision) return current.gateway;
      const row = await deps.load(partnerId);
      if (!row?.active) {
        forget(partnerId);
        throw new PartnerError('PartnerRejected', 'There is no such partner.');
      }
      const known = kept.get(partnerId);
      // Rows that were read at the same time may arrive in any order: an older one replaces nothing.
      if (known && known.revision >= row.revision) return known.gateway;
      forget(partnerId);
      const next: Kept = { revision: row.revision, gateway: build(partnerId, row) };
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
