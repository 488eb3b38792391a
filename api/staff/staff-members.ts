import { z } from 'zod';
import { STAFF_ACCESS_REASONS, StaffMemberView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database, Transaction } from '../../prisma/database';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';
import { memberOf, ownRight } from './member';

const MOST = 500;
const OneMember = z.object({ memberId: z.uuid() });
const Why = z.strictObject({ reason: z.enum(STAFF_ACCESS_REASONS) }).meta({ id: 'StaffAccessChange' });
const MemberList = z.object({ members: z.array(StaffMemberView) }).meta({ id: 'StaffMemberList' });
/** What every change of a member wants and gives. */
const CHANGE = {
  method: 'post',
  permission: 'members:manage',
  stepUp: true,
  params: OneMember,
  body: { kind: 'json', schema: Why },
  idempotency: 'stored',
  responses: { 200: { description: 'The member as it is now', schema: StaffMemberView } },
} as const;

type MemberRow = Awaited<ReturnType<Database['staffMember']['findUniqueOrThrow']>>;

/**
 * Who of the company's people may come in, and that information security ends it at once (R4.9): sessions, or all access.
 * The identity provider is told by its own people, so that it stays so.
 */
export function staffMemberOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listStaffMembers',
      method: 'get',
      path: '/members',
      summary: 'Who has signed in at any time, with roles and sessions, last sign-in first',
      permission: 'members:manage',
      params: z.object({}),
      query: z.object({ subject: z.string().min(1).max(255).optional().describe('As the identity provider names it') }),
      responses: { 200: { description: `At most ${MOST.toString()} members`, schema: MemberList } },
      async handle({ query: { subject } }) {
        const rows = await database.staffMember.findMany({
          where: subject === undefined ? {} : { subject },
          orderBy: [{ lastSignInAt: 'desc' }, { id: 'asc' }],
          take: MOST,
        });
        return { status: 200, headers: PRIVATE, body: { members: await viewsOf(database, rows) } };
      },
    }),
    defineOperation({
      id: 'endMemberSessions',
      path: '/members/{memberId}/sessions/end',
      summary: 'End every session of a member now; signing in again stays possible',
      ...CHANGE,
      handle: ({ params: { memberId: id }, body: { reason }, caller }) =>
        change(id, async (tx) => {
          const open = { memberId: id, endedAt: null };
          const { count } = await tx.staffSession.updateMany({ where: open, data: { endedAt: new Date() } });
          if (count > 0) await note(tx, { id, actor: caller.clientId, outcome: 'sessions-ended', reason });
        }),
    }),
    defineOperation({
      id: 'disableMember',
      path: '/members/{memberId}/disabling',
      summary: 'Take all access of another member: every session is over, and signing in is refused',
      ...CHANGE,
      handle({ params: { memberId: id }, body: { reason }, caller }) {
        if (id === memberOf(caller).memberId) throw ownRight();
        return change(id, async (tx) => {
          // Sessions end by the trigger of the table.
          const active = { id, status: 'active' };
          const { count } = await tx.staffMember.updateMany({ where: active, data: { status: 'disabled' } });
          if (count > 0) await note(tx, { id, actor: caller.clientId, outcome: 'disabled', reason });
        });
      },
    }),
    defineOperation({
      id: 'reinstateMember',
      path: '/members/{memberId}/reinstatement',
      summary: 'Let a member sign in again, with the roles that the identity provider gives and no review took away',
      ...CHANGE,
      handle: ({ params: { memberId: id }, body: { reason }, caller }) =>
        change(id, async (tx, { status, withdrawnRoles }) => {
          if (status === 'active') return;
          const taken = await takenByReviews(tx, id);
          await tx.staffMember.update({
            where: { id },
            data: { status: 'active', withdrawnRoles: withdrawnRoles.filter((role) => taken.has(role)) },
          });
          await note(tx, { id, actor: caller.clientId, outcome: 'reinstated', reason });
        }),
    }),
  ];

  /** A sign-in that is under way holds the row, too (members.ts): one of the two sees the other. */
  async function change(id: string, effect: (tx: Transaction, member: MemberRow) => Promise<void>) {
    const body = await database.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT 1 FROM staff_members WHERE id = ${id}::uuid FOR UPDATE`;
      const before = await tx.staffMember.findUnique({ where: { id } });
      if (!before) throw notFound('memberId');
      await effect(tx, before);
      const [view] = await viewsOf(tx, [await tx.staffMember.findUniqueOrThrow({ where: { id } })]);
      return view;
    });
    return { status: 200, headers: PRIVATE, body };
  }
}

const PRIVATE = { 'cache-control': 'no-store' };

const note = (
  tx: Transaction,
  { id: objectId, ...entry }: { id: string; actor: string; outcome: string; reason: string },
): Promise<void> => appendJournal(tx, { kind: 'staff-member', integration: null, objectId, ...entry });

/** What a review took is its reviewers' to give back (api/staff/access-reviews.ts); what leaving took is not. */
async function takenByReviews(tx: Transaction, holder: string): Promise<ReadonlySet<string>> {
  const items = await tx.accessReviewItem.findMany({
    where: {
      ...{ kind: 'member', holder, restoredAt: null, decision: { in: ['revoked', 'lapsed'] } },
      OR: [{ decidedBy: null }, { decidedBy: { not: 'identity-provider' } }],
    },
    select: { granted: true },
  });
  return new Set(items.map(({ granted }) => granted));
}

async function viewsOf(tx: Transaction, rows: readonly MemberRow[]): Promise<StaffMemberView[]> {
  const sessions = await tx.staffSession.findMany({
    where: { memberId: { in: rows.map(({ id }) => id) }, endedAt: null, expiresAt: { gt: new Date() } },
    orderBy: { authenticatedAt: 'desc' },
  });
  return rows.map(({ id, subject, status, roles, withdrawnRoles, lastSignInAt }) => ({
    ...{ memberId: id, subject, status: status === 'active' ? 'active' : 'disabled' },
    roles: roles.filter((role) => !withdrawnRoles.includes(role)),
    withdrawnRoles,
    lastSignInAt: lastSignInAt.toISOString(),
    sessions: sessions
      .filter(({ memberId }) => memberId === id)
      .map((session) => ({
        sessionId: session.id,
        authenticatedAt: session.authenticatedAt.toISOString(),
        lastSeenAt: session.lastSeenAt.toISOString(),
        expiresAt: session.expiresAt.toISOString(),
      })),
  }));
}
