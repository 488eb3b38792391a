import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Integration } from '../../contracts/ids';
import { isWithin, StaffAccessPointView, StaffPartnerView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { compareEquipment } from '../equipment-sync';
import { defineOperation, type Operation } from '../operation';
import { viewOfAccessPoint } from './access-points';
import { memberOf, partnerWithin } from './member';

const HEALTH_WINDOW_MS = 3_600_000;

export const PartnerId = z.string().regex(/^[\w-]{1,64}$/);
const PartnerList = z.object({ partners: z.array(StaffPartnerView) }).meta({ id: 'StaffPartnerList' });
const EquipmentList = z.object({ accessPoints: z.array(StaffAccessPointView) }).meta({ id: 'StaffEquipmentList' });
const Started = z.object({ comparing: z.literal(true) }).meta({ id: 'EquipmentComparison' });

/** Partners as staff see them: how they do and what was agreed, never what we present to them. */
export function staffPartnerOperations({ database, temporal }: { database: Database; temporal: Client }): Operation[] {
  return [
    defineOperation({
      id: 'listPartners',
      method: 'get',
      path: '/partners',
      summary: 'Partners with their limits and how they do',
      permission: 'partners:read',
      params: z.object({}),
      responses: { 200: { description: 'Partners', schema: PartnerList } },
      async handle({ caller }) {
        const { reach } = memberOf(caller);
        const rows = await database.partner.findMany({ select: SHOWN, orderBy: { id: 'asc' } });
        const shown = rows.filter((row) => isWithin(reach, row));
        const health = await healthOf(shown.map(({ id }) => id));
        const partners = shown.map(({ id: partnerId, displayName, integration, active, revision, ...limits }) => ({
          partnerId,
          displayName,
          integration,
          active,
          revision,
          limits,
          health: health(partnerId),
        }));
        return { status: 200, body: { partners } };
      },
    }),
    defineOperation({
      id: 'listEquipment',
      method: 'get',
      path: '/equipment',
      summary: 'The equipment of a partner, as it listed it last (R3.11)',
      permission: 'equipment:read',
      params: z.object({}),
      query: z.object({ partnerId: PartnerId }),
      responses: { 200: { description: 'Access points', schema: EquipmentList } },
      async handle({ query: { partnerId }, caller }) {
        await partnerWithin(database, caller, partnerId);
        const rows = await database.accessPoint.findMany({ where: { partnerId }, orderBy: { id: 'asc' } });
        return { status: 200, body: { accessPoints: rows.map(viewOfAccessPoint) } };
      },
    }),
    defineOperation({
      id: 'compareEquipment',
      method: 'post',
      path: '/partners/{partnerId}/equipment-sync',
      summary: "Compare the partner's list of equipment with ours now (R3.11)",
      permission: 'equipment:sync',
      params: z.object({ partnerId: PartnerId }),
      idempotency: 'stored',
      responses: { 202: { description: 'A comparison is under way', schema: Started } },
      async handle({ params: { partnerId }, caller }) {
        const { integration } = await partnerWithin(database, caller, partnerId);
        // Evidence first: a comparison too many does no harm, one that nobody is seen to have asked for does.
        const entry = { integration, objectId: partnerId, actor: caller.clientId, outcome: 'comparison-requested' };
        await database.$transaction((tx) => appendJournal(tx, { kind: 'equipment', ...entry }));
        await compareEquipment(temporal, partnerId, integration as Integration);
        return { status: 202, body: { comparing: true } };
      },
    }),
  ];

  /** As far as our own rows tell; latencies are in the workers' metrics. */
  async function healthOf(partnerIds: string[]) {
    const partnerId = { in: partnerIds };
    const since = new Date(Date.now() - HEALTH_WINDOW_MS);
    const [outcomes, opened, listed, offline] = await Promise.all([
      database.opening.groupBy({
        by: ['partnerId', 'status'],
        where: { partnerId, requestedAt: { gte: since } },
        _count: true,
      }),
      database.opening.groupBy({
        by: ['partnerId'],
        where: { partnerId, status: 'opened', requestedAt: { gte: since } },
        _max: { endedAt: true },
      }),
      database.accessPoint.groupBy({ by: ['partnerId'], where: { partnerId }, _max: { listedAt: true } }),
      database.accessPoint.groupBy({
        by: ['partnerId'],
        where: { partnerId, status: { not: 'removed' }, online: false },
        _count: true,
      }),
    ]);
    return (id: string) => ({
      openingsLastHour: Object.fromEntries(
        outcomes.filter((row) => row.partnerId === id).map((row) => [row.status, row._count]),
      ),
      lastOpenedAt: opened.find((row) => row.partnerId === id)?._max.endedAt?.toISOString() ?? null,
      equipmentListedAt: listed.find((row) => row.partnerId === id)?._max.listedAt?.toISOString() ?? null,
      devicesOffline: offline.find((row) => row.partnerId === id)?._count ?? 0,
    });
  }
}

const SHOWN = {
  id: true,
  displayName: true,
  integration: true,
  active: true,
  revision: true,
  inboundPerSecond: true,
  inboundConcurrency: true,
  slaAvailability: true,
  slaLatencyMs: true,
} as const;
