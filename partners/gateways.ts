import type { Database } from '../prisma/database';
import type { SecretStore } from '../vault/secrets';
import { PartnerError } from './failure';
import { createGateway } from './gateway';
import type { PartnerGateway } from './ports';
import { PartnerProfile } from './profile';

export type Gateways = {
  /** The gateway of a partner that this process may see. @throws PartnerError when there is none or it is not active */
  readonly get: (partnerId: string) => Promise<PartnerGateway>;
  close(): Promise<void>;
};

/** Gateways by partner, built when first needed and anew when the partner's row changes: no code, no restart. */
export function createGateways({ database, secretStore }: { database: Database; secretStore: SecretStore }): Gateways {
  const built = new Map<string, { revision: number; gateway: Promise<PartnerGateway> }>();

  async function build(partnerId: string, settings: unknown): Promise<PartnerGateway> {
    const profile = PartnerProfile.safeParse(settings);
    if (!profile.success) throw new PartnerError('PartnerRejected', "The partner's settings cannot be used.");
    return createGateway({
      partnerId,
      profile: profile.data,
      secrets: (name) => secretStore.get(database, partnerId, name),
      agreed: async () => {
        const row = await database.partner.findUnique({ where: { id: partnerId }, select: { agreedFields: true } });
        return row?.agreedFields ?? [];
      },
    });
  }

  return {
    async get(partnerId) {
      const partner = await database.partner.findUnique({ where: { id: partnerId } });
      if (!partner?.active) throw new PartnerError('PartnerRejected', 'There is no such partner.');
      const known = built.get(partnerId);
      if (known?.revision === partner.revision) return known.gateway;
      const gateway = build(partnerId, partner.profile);
      built.set(partnerId, { revision: partner.revision, gateway });
      gateway.catch(() => built.delete(partnerId));
      void known?.gateway.then((old) => old.close()).catch(() => undefined);
      return gateway;
    },
    async close() {
      const gateways = await Promise.allSettled([...built.values()].map(({ gateway }) => gateway));
      built.clear();
      await Promise.all(gateways.flatMap((result) => (result.status === 'fulfilled' ? [result.value.close()] : [])));
    },
  };
}
