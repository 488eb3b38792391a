import { rightsThatOpen } from '../access/rights';
import type { AccessFacts } from '../contracts/access';
import type { OpenAccessRequest } from '../contracts/openings';
import { lockoutKey } from '../contracts/lockout';
import { query, sql, type Database, type Sql } from '../prisma/database';

type FactsFromDatabase = Pick<
  AccessFacts,
  'device' | 'resident' | 'rights' | 'hours' | 'consent' | 'attestedUntilMs' | 'lockedUntilMs'
>;

export type LoadedFacts = {
  readonly facts: FactsFromDatabase;
  /** What billing would be asked about: the accounts of the properties that the rights that open now rest on. */
  readonly billing: { readonly accountIds: string[]; readonly service: string };
  readonly device: { readonly deviceId: string; readonly kind: 'door' | 'barrier' } | null;
  /** Revision of the partner's row at that moment; null when it is not there or switched off. */
  readonly partnerRevision: number | null;
};

/** What the expression below gives: times as epoch milliseconds. */
type FactsRow = {
  readonly device: {
    status: 'active' | 'blocked' | 'removed';
    deviceId: string;
    kind: 'door' | 'barrier';
    service: string;
  } | null;
  readonly resident: { status: 'active' | 'blocked' | 'erased' } | null;
  readonly rights: readonly { kind: string; startsAtMs: number; endsAtMs: number | null; accountId: string }[];
  readonly hours: AccessFacts['hours'];
  readonly consent: NonNullable<AccessFacts['consent']> | null;
  readonly partner: { attestedUntilMs: number | null } | null;
  readonly lock: { untilMs: number | null } | null;
  readonly partnerRevision: number | null;
};

type Question = Pick<OpenAccessRequest, 'accessPointId' | 'residentId' | 'method'> & {
  /** Left out: whose access point it is. */
  readonly partnerId?: string;
};

/**
 * What the decision needs, as the database has it at one moment. Two readings found the same exactly when they are the
 * same text, so that a later statement can say whether what was decided upon still holds.
 */
export type FactsText = string;

/** Reads the facts. Nothing is cached (design rule 3). */
export async function readAccessFacts(database: Database, question: Question): Promise<FactsText> {
  const [row] = await query<{ facts: FactsText }>(database, sql`SELECT (${accessFacts(question)}) AS facts`);
  if (!row) throw new Error('A statement without FROM gives one row.');
  return row.facts;
}

/** What the facts of a reading say at the moment of the decision. */
export function factsAt(text: FactsText, nowMs: number): LoadedFacts {
  const { device, resident, rights, hours, consent, partner, lock, partnerRevision } = JSON.parse(text) as FactsRow;
  const opening = rightsThatOpen({ rights, hours }, nowMs);
  return {
    facts: {
      device: device && { status: device.status },
      resident: resident && { status: resident.status },
      rights: rights.map(({ kind, startsAtMs, endsAtMs }) => ({ kind, startsAtMs, endsAtMs })),
      hours,
      consent,
      attestedUntilMs: partner?.attestedUntilMs ?? null,
      // The row itself says until when: the API writes it at each failed identification.
      lockedUntilMs: lock && (lock.untilMs ?? Infinity),
    },
    billing: { accountIds: [...new Set(opening.map(({ accountId }) => accountId))], service: device?.service ?? '' },
    device: device && { deviceId: device.deviceId, kind: device.kind },
    partnerRevision,
  };
}

/**
 * One expression, because one statement sees one moment, and because round trips are most of what an opening costs.
 *
 * A consent in force counts before one that is not; of equal ones the one that lasts longest. None covers what an earlier
 * one's end made due for deletion (vault/biometrics.ts): the partner may hold it still.
 */
export const accessFacts = ({ accessPointId, residentId, partnerId, method }: Question): Sql => sql`
  WITH device AS (SELECT * FROM access_points WHERE id = ${accessPointId}::uuid),
    whose AS (SELECT coalesce(${partnerId ?? null}::text, (SELECT partner_id FROM device)) AS partner_id)
  SELECT jsonb_build_object(
    'device',
      (SELECT jsonb_build_object('status', status, 'deviceId', device_id, 'kind', kind, 'service', service)
         FROM device),
    'resident',
      (SELECT jsonb_build_object('status', status) FROM residents WHERE id = ${residentId}::uuid),
    'rights',
      (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'kind', r.kind,
                'startsAtMs', extract(epoch FROM r.starts_at) * 1000,
                'endsAtMs', extract(epoch FROM r.ends_at) * 1000,
                'accountId', p.billing_account_id) ORDER BY r.id), '[]')
         FROM property_rights r JOIN properties p ON p.id = r.property_id JOIN device USING (house_id)
        WHERE r.resident_id = ${residentId}::uuid),
    'hours',
      (SELECT jsonb_build_object('timeZone', min(h.time_zone), 'windows', jsonb_agg(jsonb_build_object(
                'rightKind', v.right_kind, 'days', v.days,
                'fromMinute', v.from_minute, 'toMinute', v.to_minute) ORDER BY v.id))
         FROM visiting_hours v JOIN device d ON d.id = v.access_point_id JOIN houses h ON h.id = d.house_id
       HAVING count(*) > 0),
    'consent',
      (SELECT jsonb_build_object('status', status, 'expiresAtMs', extract(epoch FROM expires_at) * 1000)
         FROM consents
        WHERE resident_id = ${residentId}::uuid AND partner_id = (TABLE whose) AND ${method} = 'face'
          AND NOT EXISTS (SELECT FROM biometric_deletions due, device
                           WHERE due.resident_id = ${residentId}::uuid AND due.partner_id = (TABLE whose)
                             AND due.state = 'deleting'
                             AND (cardinality(due.house_ids) = 0 OR device.house_id = ANY (due.house_ids)))
        ORDER BY status = 'granted' DESC, status, expires_at DESC LIMIT 1),
    'partner',
      (SELECT jsonb_build_object('attestedUntilMs', extract(epoch FROM attested_until) * 1000)
         FROM partners WHERE id = (TABLE whose) AND ${method} = 'face'),
    'lock',
      (SELECT jsonb_build_object('untilMs', expire) FROM rate_limits WHERE key = ${lockoutKey('pause', accessPointId)}),
    'partnerRevision', (SELECT revision FROM partners WHERE id = (TABLE whose) AND active))::text`;
