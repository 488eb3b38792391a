import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  ACCESS_POINT_REASONS,
  AccessRulesView,
  DAYS_OF_WEEK,
  isWithin,
  VisitingHoursOf,
  VisitingHoursWindow,
} from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import { HOLDS_PLATES, PartnerProfile } from '../../partners/profile';
import type { Database, Transaction } from '../../prisma/database';
import type { Caller } from '../authentication/caller';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';
import { lockedAccessPoint } from './access-points';
import { memberOf } from './member';

/** For one kind of right at one access point. */
const WINDOWS_AT_MOST = 21;

const AccessPointId = z.object({ accessPointId: z.uuid() });
const Bound = z.strictObject({ reason: z.enum(ACCESS_POINT_REASONS), rightKind: VisitingHoursOf });
const Removal = Bound.meta({ id: 'VisitingHoursRemoval' });
const Hours = Bound.extend({ hours: z.array(VisitingHoursWindow).min(1).max(WINDOWS_AT_MOST) }).meta({
  id: 'VisitingHours',
});
const RuleList = z.object({ accessPoints: z.array(AccessRulesView) }).meta({ id: 'AccessRulesList' });

const RULED = { OR: [{ status: 'blocked' }, { hours: { some: {} } }] };

type Window = z.infer<typeof VisitingHoursWindow>;
type Change = { readonly reason: string; readonly rightKind: string | null; readonly hours: readonly Window[] };
type Rules = z.infer<typeof AccessRulesView>;

/** Rules that keep residents out whoever they are: hours, which are set here, and blocks, in one list for whoever answers for them. */
export function accessRuleOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listAccessRules',
      method: 'get',
      path: '/access-rules',
      summary: 'Access points that are blocked or open at certain hours only, and who said so',
      permission: 'access-rules:read',
      params: z.object({}),
      responses: { 200: { description: 'Access points with a rule of their own', schema: RuleList } },
      async handle({ caller }) {
        return { status: 200, body: { accessPoints: await rulesOf(database, caller, RULED) } };
      },
    }),
    defineOperation({
      id: 'setVisitingHours',
      method: 'post',
      path: '/access-points/{accessPointId}/visiting-hours',
      summary: 'It opens to rights of this kind at these hours and at no others, from the next decision on',
      description: 'In the place of the hours that bound this kind of right here before.',
      permission: 'access-rules:set',
      stepUp: true,
      params: AccessPointId,
      body: { kind: 'json', schema: Hours },
      idempotency: 'stored',
      responses: { 200: { description: 'The rules of the access point', schema: AccessRulesView } },
      handle: ({ params, body, caller }) => change(params.accessPointId, body, caller),
    }),
    defineOperation({
      id: 'removeVisitingHours',
      method: 'post',
      path: '/access-points/{accessPointId}/visiting-hours/removal',
      summary: 'No hours bind this kind of right here any more',
      permission: 'access-rules:set',
      stepUp: true,
      params: AccessPointId,
      body: { kind: 'json', schema: Removal },
      idempotency: 'stored',
      responses: { 200: { description: 'The rules of the access point', schema: AccessRulesView } },
      handle: ({ params, body, caller }) => change(params.accessPointId, { ...body, hours: [] }, caller),
    }),
  ];

  async function change(accessPointId: string, { reason, rightKind, hours }: Change, caller: Caller) {
    const [rules] = await database.$transaction(async (tx) => {
      const { partnerId, integration } = await lockedAccessPoint(tx, accessPointId);
      if (!isWithin(memberOf(caller).reach, { id: partnerId, integration })) throw notFound('accessPointId');
      const { count: before } = await tx.visitingHours.deleteMany({ where: { accessPointId, rightKind } });
      const row = { accessPointId, integration, rightKind, setBy: caller.clientId };
      await tx.visitingHours.createMany({
        data: hours.map((window) => ({ id: randomUUID(), ...row, ...stored(window) })),
      });
      if (hours.length + before > 0) {
        const outcome = hours.length > 0 ? 'set' : 'removed';
        const entry = { integration, objectId: accessPointId, actor: caller.clientId, outcome };
        const said = [reason, rightKind ?? 'everybody', ...hours.map(inWords)].join(' ');
        await appendJournal(tx, { kind: 'visiting-hours', ...entry, reason: said });
      }
      return rulesOf(tx, caller, { id: accessPointId });
    });
    if (!rules) throw notFound('accessPointId');
    return { status: 200, body: rules };
  }
}

/** What binds each of these access points, as far as the caller's role reaches. */
async function rulesOf(
  tx: Transaction,
  caller: Caller,
  where: { readonly id: string } | typeof RULED,
): Promise<Rules[]> {
  const { reach } = memberOf(caller);
  const rows = await tx.accessPoint.findMany({
    where,
    include: {
      house: { select: { timeZone: true } },
      partner: { select: { profile: true } },
      hours: { orderBy: [{ rightKind: 'asc' }, { fromMinute: 'asc' }, { id: 'asc' }] },
    },
    orderBy: { id: 'asc' },
  });
  const shown = rows.filter(({ partnerId, integration }) => isWithin(reach, { id: partnerId, integration }));
  const blockOf = await blocksOf(
    tx,
    shown.flatMap(({ id, status }) => (status === 'blocked' ? [id] : [])),
  );
  return shown.map(({ id, houseId, partnerId, deviceId, kind, label, house, partner, hours, status }) => ({
    accessPointId: id,
    houseId,
    partnerId,
    deviceId,
    kind,
    label,
    block: status === 'blocked' ? blockOf(id) : null,
    timeZone: house.timeZone,
    hours: hours.map(({ rightKind, days, fromMinute, toMinute, setAt, setBy }) => ({
      rightKind,
      days: days.flatMap((day) => DAYS_OF_WEEK[day - 1] ?? []),
      from: timeOf(fromMinute),
      to: timeOf(toMinute),
      setAt: setAt.toISOString(),
      setBy,
    })),
    platesReadByPartner: kind === 'barrier' && readsPlates(partner.profile),
  }));
}

/** Of a partner whose settings cannot be read the worse is said. */
function readsPlates(profile: unknown): boolean {
  const known = PartnerProfile.safeParse(profile);
  return !known.success || HOLDS_PLATES[known.data.profile];
}

/** Who blocked each of them and when, as the journal has it: its newest entry about an access point that is blocked. */
async function blocksOf(tx: Transaction, ids: readonly string[]): Promise<(id: string) => NonNullable<Rules['block']>> {
  const entries = await tx.journalEntry.findMany({
    where: { kind: 'access-point', objectId: { in: [...ids] } },
    orderBy: { seq: 'desc' },
  });
  return (id) => {
    const newest = entries.find(({ objectId }) => objectId === id);
    if (newest?.outcome !== 'blocked') return { blockedAt: null, blockedBy: null, reason: null };
    return { blockedAt: newest.at.toISOString(), blockedBy: newest.actor, reason: newest.reason };
  };
}

const HOUR_MINUTES = 60;
const minuteOf = (time: string): number => Number(time.slice(0, 2)) * HOUR_MINUTES + Number(time.slice(3));
const timeOf = (minute: number): string =>
  [Math.floor(minute / HOUR_MINUTES), minute % HOUR_MINUTES].map((part) => part.toString().padStart(2, '0')).join(':');

const stored = ({ days, from, to }: Window) => ({
  days: days.map((day) => DAYS_OF_WEEK.indexOf(day) + 1),
  fromMinute: minuteOf(from),
  toMinute: minuteOf(to),
});

/** The journal keeps what held before: rows are only of what holds now. */
const inWords = ({ days, from, to }: Window): string => `${days.join()} ${from}-${to}`;
