import { z } from 'zod';
import { StaffSessionView } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import { defineOperation, type Operation } from '../operation';
import { memberOf } from './member';
import { SESSION_COOKIE } from './session-token';

const Ended = z.object({ ended: z.literal(true) }).meta({ id: 'StaffSessionEnded' });

/** The session that the request came in. */
export function staffSessionOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'getStaffSession',
      method: 'get',
      path: '/session',
      summary: 'Who is signed in, with which roles and for how long',
      permission: 'session:own',
      params: z.object({}),
      responses: { 200: { description: 'The session', schema: StaffSessionView } },
      handle({ caller }) {
        const { memberId, session } = memberOf(caller);
        const { roles, authenticatedAt, expiresAt, csrfToken } = session;
        const times = { authenticatedAt: authenticatedAt.toISOString(), expiresAt: expiresAt.toISOString() };
        const headers = { 'cache-control': 'no-store' };
        return Promise.resolve({ status: 200, headers, body: { memberId, roles, ...times, csrfToken } });
      },
    }),
    defineOperation({
      id: 'endStaffSession',
      method: 'post',
      path: '/session/end',
      summary: 'Sign out: the session is over at once',
      permission: 'session:own',
      params: z.object({}),
      idempotency: 'own',
      responses: { 200: { description: 'Over', schema: Ended } },
      async handle({ caller }) {
        const { session } = memberOf(caller);
        await database.$transaction(async (tx) => {
          const open = { id: session.id, endedAt: null };
          const { count } = await tx.staffSession.updateMany({ where: open, data: { endedAt: new Date() } });
          if (count === 0) return;
          const entry = { integration: null, objectId: session.id, actor: caller.clientId, outcome: 'ended' };
          await appendJournal(tx, { kind: 'staff-session', ...entry });
        });
        const cookie = `${SESSION_COOKIE}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax`;
        return { status: 200, headers: { 'set-cookie': cookie }, body: { ended: true } };
      },
    }),
  ];
}
