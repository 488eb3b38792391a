import { z } from 'zod';
import { RIGHT_KINDS } from './access';
import { INTEGRATIONS } from './ids';
import { SEVERITIES } from './security-alerts';

export const STAFF_ROLES = [
  'operations',
  'compliance',
  'information-security',
  'auditor',
  'integration-manager',
] as const;
export type StaffRole = (typeof STAFF_ROLES)[number];

const EVERYBODY = STAFF_ROLES;

/**
 * What each role may do, in one place (R2.3, R4.7): the permission of an operation, and who has it. Routes, the OpenAPI
 * document and test/api/staff-permissions.test.ts read this table.
 */
export const PERMISSIONS = {
  'session:own': EVERYBODY,
  'members:manage': ['information-security'],
  'alerts:read': ['operations', 'compliance', 'information-security', 'auditor'],
  'alerts:acknowledge': ['information-security'],
  'suspensions:read': ['operations', 'information-security', 'auditor'],
  'suspensions:lift': ['information-security'],
  /** What executions were given and gave back: opaque ids, and yet all of them (api/staff/codec.ts). */
  'payloads:decode': ['operations', 'information-security'],
  'partners:read': EVERYBODY,
  'equipment:read': ['operations', 'information-security', 'auditor', 'integration-manager'],
  'equipment:sync': ['operations', 'integration-manager'],
  'openings:read': ['operations', 'compliance', 'information-security', 'auditor'],
  /** Hours and blocks: what may keep residents out besides their own affairs. */
  'access-rules:read': EVERYBODY,
  'access-rules:set': ['operations', 'integration-manager'],
  'access-points:block': ['operations', 'information-security'],
  'identification-locks:release': ['operations', 'information-security'],
  'data-sets:read': ['compliance', 'information-security', 'auditor', 'integration-manager'],
  'data-sets:propose': ['information-security', 'integration-manager'],
  'data-sets:approve': ['information-security'],
  'property-sales:read': ['operations', 'compliance', 'auditor'],
  'property-sales:import': ['operations', 'compliance'],
  'erasures:read': ['compliance', 'information-security', 'auditor'],
  'erasures:demand': ['compliance'],
  'erasures:decide': ['compliance'],
  'escalations:read': ['operations', 'compliance', 'information-security', 'auditor'],
  'escalations:acknowledge': ['operations', 'compliance', 'information-security'],
  'credentials:revoke': ['information-security'],
  'credentials:hand-over': ['information-security', 'integration-manager'],
  'own-clients:renew': ['information-security'],
  'credentials:register': ['information-security', 'integration-manager'],
  'attestation-letters:read': ['compliance', 'information-security', 'auditor', 'integration-manager'],
  'attestation-letters:upload': ['compliance', 'information-security', 'integration-manager'],
  'attestation-letters:decide': ['compliance', 'information-security'],
  'log-exports:read': ['compliance', 'information-security', 'auditor'],
  'log-exports:demand': ['compliance', 'information-security'],
  /** What the journal says of one person, opened; takes two of them (api/staff/journal-exports.ts). */
  'journal-exports:open': ['compliance', 'information-security'],
  'security-audits:read': ['operations', 'compliance', 'information-security', 'auditor'],
  'access-reviews:read': ['compliance', 'information-security', 'auditor'],
  'access-reviews:open': ['information-security'],
  'access-reviews:decide': ['compliance', 'information-security'],
} as const satisfies Record<string, readonly StaffRole[]>;
export type StaffPermission = keyof typeof PERMISSIONS;

/**
 * A role as it is held: by its name; an integration manager's always with what it is for, an integration or one partner
 * of it: `integration-manager:smart-home`, `integration-manager:communal/shlagbaum`.
 */
export type HeldRole = {
  readonly role: StaffRole;
  /** Absent: for everything. */
  readonly reach?: { readonly integration: string; readonly partnerId?: string };
};

const HELD_MANAGER = new RegExp(`^integration-manager:(${INTEGRATIONS.join('|')})(?:/([\\w-]{1,64}))?$`);

/** @returns `null` for what is no role, an integration manager's without its integration included */
export function parseHeldRole(text: string): HeldRole | null {
  const [, integration, partnerId] = HELD_MANAGER.exec(text) ?? [];
  if (integration !== undefined) {
    return { role: 'integration-manager', reach: { integration, ...(partnerId !== undefined && { partnerId }) } };
  }
  const role = STAFF_ROLES.find((name) => name === text);
  return role === undefined || role === 'integration-manager' ? null : { role };
}

/** Partners that a permission holds for. */
export type Reach = 'everything' | readonly { readonly integration: string; readonly partnerId?: string }[];

/** @returns `null` when none of the roles has the permission */
export function reachOf(held: readonly HeldRole[], permission: StaffPermission): Reach | null {
  const allowed: readonly StaffRole[] = PERMISSIONS[permission];
  const having = held.filter(({ role }) => allowed.includes(role));
  if (having.length === 0) return null;
  const reaches = having.flatMap(({ reach }) => (reach ? [reach] : []));
  return reaches.length < having.length ? 'everything' : reaches;
}

export const isWithin = (reach: Reach, partner: { readonly id: string; readonly integration: string }): boolean =>
  reach === 'everything' ||
  reach.some(
    ({ integration, partnerId }) =>
      integration === partner.integration && (partnerId === undefined || partnerId === partner.id),
  );

/** Sessions of staff are short (R4.9): without a request, and in all since the person proved who it is. */
export const SESSION_IDLE_S = 15 * 60;
export const SESSION_LIFE_S = 8 * 3_600;
/** What is marked with a step-up wants a proof that is no older. */
export const STEP_UP_S = 5 * 60;

/** Why staff act on equipment: words for the journal, which takes no free text. */
export const ACCESS_POINT_REASONS = ['security-incident', 'maintenance', 'partner-request', 'house-request'] as const;

export const StaffSessionView = z
  .object({
    memberId: z.uuid(),
    roles: z.array(z.string()),
    authenticatedAt: z.iso.datetime(),
    expiresAt: z.iso.datetime(),
    csrfToken: z.string().describe('Goes into the X-CSRF-Token header of every write'),
  })
  .meta({ id: 'StaffSession' });

/** Why information security acts on somebody's access: words for the journal, which takes no free text. */
export const STAFF_ACCESS_REASONS = [
  'security-incident',
  'lost-device',
  'left',
  'absence',
  'returned',
  'mistake',
] as const;

export const StaffMemberView = z
  .object({
    memberId: z.uuid(),
    subject: z.string().describe('As the identity provider names the account'),
    status: z.enum(['active', 'disabled']),
    roles: z.array(z.string()).describe('As the last sign-in said them, without those that were taken away'),
    withdrawnRoles: z.array(z.string()),
    lastSignInAt: z.iso.datetime(),
    sessions: z.array(
      z.object({
        sessionId: z.uuid(),
        authenticatedAt: z.iso.datetime(),
        lastSeenAt: z.iso.datetime(),
        expiresAt: z.iso.datetime(),
      }),
    ),
  })
  .meta({ id: 'StaffMember', description: 'A person who may come in, and the sessions that are open' });
export type StaffMemberView = z.infer<typeof StaffMemberView>;

export const SecurityAlertView = z
  .object({
    alertId: z.uuid(),
    integration: z.string().nullable(),
    kind: z.string(),
    scope: z.string(),
    objectId: z.string(),
    raisedAt: z.iso.datetime(),
    until: z.iso.datetime(),
    acknowledgedAt: z.iso.datetime().nullable(),
    acknowledgedBy: z.string().nullable(),
    severity: z.enum(SEVERITIES),
    evidence: z.array(z.string()).describe('Numbers of the entries of the journal that it rests on'),
    times: z.int().describe('How often its cause was seen'),
  })
  .meta({ id: 'SecurityAlert' });

export const EscalationView = z
  .object({
    escalationId: z.uuid(),
    integration: z.string().describe('`core` for what belongs to no integration'),
    process: z.string(),
    objectId: z.string().describe('What it is about: ids of the deletion, the erasure, or the sale and its partner'),
    reason: z.string(),
    level: z.int().describe('Which call about this it is, from 1'),
    raisedAt: z.iso.datetime(),
    acknowledgedAt: z.iso.datetime().nullable(),
    acknowledgedBy: z.string().nullable().describe('Who has it in hand'),
    resolvedAt: z.iso.datetime().nullable().describe('When what was waited for came'),
  })
  .meta({ id: 'Escalation', description: 'A call to a person by a process that cannot end alone' });
export const ClientSuspensionView = z
  .object({
    suspensionId: z.uuid(),
    clientId: z.string(),
    alertId: z.uuid(),
    suspendedAt: z.iso.datetime(),
    until: z.iso.datetime(),
    liftedAt: z.iso.datetime().nullable(),
    liftedBy: z.string().nullable(),
  })
  .meta({ id: 'ClientSuspension', description: 'A caller that was kept out by policy (R2.6)' });

export const StaffPartnerView = z
  .object({
    partnerId: z.string(),
    displayName: z.string(),
    integration: z.string(),
    active: z.boolean(),
    revision: z.int(),
    limits: z.object({
      inboundPerSecond: z.int(),
      inboundConcurrency: z.int(),
      slaAvailability: z.number(),
      slaLatencyMs: z.int(),
    }),
    health: z.object({
      openingsLastHour: z.record(z.string(), z.int()).describe('How openings of the last hour ended, or `pending`'),
      lastOpenedAt: z.iso.datetime().nullable(),
      equipmentListedAt: z.iso.datetime().nullable(),
      devicesOffline: z.int(),
    }),
  })
  .meta({ id: 'StaffPartner', description: 'A partner as staff see it: no secret, no connection setting' });

export const StaffAccessPointView = z
  .object({
    accessPointId: z.uuid(),
    houseId: z.uuid(),
    partnerId: z.string(),
    deviceId: z.string(),
    kind: z.string(),
    label: z.string(),
    status: z.enum(['active', 'blocked', 'removed']),
    online: z.boolean(),
    listedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'StaffAccessPoint' });

/** In the order of the week, which begins on Monday. */
export const DAYS_OF_WEEK = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
const TimeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'is a time of day such as 08:30');
export const VisitingHoursWindow = z
  .strictObject({
    days: z
      .array(z.enum(DAYS_OF_WEEK))
      .min(1)
      .max(DAYS_OF_WEEK.length)
      .refine((days) => new Set(days).size === days.length, 'names a day twice')
      .describe('On which they begin'),
    from: TimeOfDay,
    to: TimeOfDay.describe('Not included; not after `from`: of the next day, so that two equal ones are a whole day'),
  })
  .meta({ id: 'VisitingHoursWindow', description: 'By the clock of the house' });
export const VisitingHoursOf = z
  .enum(RIGHT_KINDS)
  .nullable()
  .describe('The kind of right that they bind; null: rights of every kind, besides the hours of their own');

export const AccessRulesView = StaffAccessPointView.pick({
  accessPointId: true,
  houseId: true,
  partnerId: true,
  deviceId: true,
  kind: true,
  label: true,
})
  .extend({
    block: z
      .object({
        blockedAt: z.iso.datetime().nullable().describe('null: not by staff, or longer ago than the journal goes'),
        blockedBy: z.string().nullable(),
        reason: z.string().nullable(),
      })
      .nullable()
      .describe('null: not blocked'),
    timeZone: z.string().describe('The clock of the house'),
    hours: z
      .array(
        z.object({
          rightKind: z.string().nullable(),
          days: z.array(z.enum(DAYS_OF_WEEK)),
          from: z.string(),
          to: z.string(),
          setAt: z.iso.datetime(),
          setBy: z.string(),
        }),
      )
      .describe('Empty: it opens at any time'),
    platesReadByPartner: z
      .boolean()
      .describe('The partner lets plates in here by itself: neither block nor hours stand in the way of a car'),
  })
  .meta({ id: 'AccessRules', description: 'What keeps residents out of one access point, whoever they are' });

export const StaffOpeningView = z
  .object({
    openingId: z.uuid(),
    accessPointId: z.uuid(),
    partnerId: z.string(),
    integration: z.string(),
    method: z.string(),
    status: z.string(),
    reason: z.string().nullable().describe('The full reason of a denial'),
    attempts: z.int(),
    requestedAt: z.iso.datetime(),
    decidedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'StaffOpening', description: 'An opening with its full reason; whose it was stays out' });

export const CredentialHandoverView = z
  .object({
    handoverId: z.uuid(),
    partnerId: z.string(),
    direction: z.string(),
    name: z.string(),
    version: z.int(),
    offeredAt: z.iso.datetime(),
    expiresAt: z.iso.datetime(),
    takenAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'CredentialHandover', description: 'A credential that a person carries to a partner; never its value' });

export const DataSetAgreementView = z
  .object({
    agreementId: z.uuid(),
    partnerId: z.string(),
    fields: z.array(z.string()),
    status: z.enum(['proposed', 'in-force', 'superseded']),
    version: z.int().nullable(),
    proposedBy: z.uuid().nullable(),
    approvedBy: z.uuid().nullable(),
    proposedAt: z.iso.datetime(),
    inForceFrom: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'DataSetAgreement', description: 'What a partner may be sent (R3.3); takes two people' });
