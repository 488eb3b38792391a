import { timingSafeEqual } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import type { Logger } from '../../config/logger';
import { parseHeldRole, reachOf, SESSION_IDLE_S, STEP_UP_S } from '../../contracts/staff';
import { appendJournal } from '../../journal/journal';
import type { Database } from '../../prisma/database';
import type { Operation } from '../operation';
import { HttpProblem } from '../problem';
import { staffActor } from '../staff/members';
import { browserOf, cookieOf, csrfTokenOf, SESSION_COOKIE, tokenSha256 } from '../staff/session-token';
import { noteKnown, type Caller, type StaffSession } from './caller';
import { unauthorized } from './token';

export type StaffChecks = {
  readonly database: Database;
  readonly publicUrl: string;
  readonly hiddenIdKey: Buffer;
  readonly log: Logger;
};

/** What one member of staff may ask; people are slower than servers. */
const LIMITS = { requestsPerSecond: 20, concurrency: 8 };
/** A session is written at most this often for being used. */
const TOUCH_EVERY_MS = 30_000;

type StaffOperation = Pick<Operation, 'method' | 'permission' | 'stepUp' | 'fromOrigin'>;

/**
 * Lets in a member of staff: session in the browser that it was made in, then that the write comes from a page of ours, then the role, then the proof of
 * the last minutes where the operation wants one. Roles are read anew at each request, so what is taken away is gone.
 */
export function requireStaff(checks: StaffChecks, operation: StaffOperation): RequestHandler {
  const { method, permission, stepUp, fromOrigin } = operation;
  return async (req, res, next) => {
    const found = await sessionOf(checks, req);
    if (!found) throw unauthorized(checks.log, 'staff-session', 'Cookie');
    const { memberId, session } = found;
    const clientId = staffActor(memberId);
    noteKnown(res, { clientId });
    // A browser says where a page is from, and no page can say otherwise (Fetch, section 3.1).
    const isOtherPage = fromOrigin !== undefined && req.get('origin') === fromOrigin;
    if (method !== 'get' && !isOtherPage) assertOurPage(checks, req, session);
    const held = session.roles.flatMap((role) => parseHeldRole(role) ?? []);
    const reach = permission === undefined ? null : reachOf(held, permission);
    if (reach === null) throw forbidden(checks.log);
    if (stepUp && Date.now() - session.authenticatedAt.getTime() > STEP_UP_S * 1_000) throw stepUpRequired();
    const caller: Caller = { clientId, audience: 'staff', limits: LIMITS, staff: { memberId, session, reach } };
    (res.locals as { caller?: Caller }).caller = caller;
    next();
  };
}

async function sessionOf({ database, hiddenIdKey, log }: StaffChecks, req: Request) {
  const token = cookieOf(req.get('cookie'), SESSION_COOKIE);
  if (token === undefined) return null;
  const now = Date.now();
  const row = await database.staffSession.findUnique({
    where: { tokenSha256: tokenSha256(token) },
    include: { member: true },
  });
  if (!row || row.endedAt !== null || row.member.status !== 'active') return null;
  const idleSince = now - SESSION_IDLE_S * 1_000;
  if (row.expiresAt.getTime() <= now || row.lastSeenAt.getTime() <= idleSince) return null;
  if (!isSame(browserOf(hiddenIdKey, token, req), row.boundTo)) {
    log.warn({ event: 'staff-session', outcome: 'refused', code: 'other-browser' }, 'refused');
    await endElsewhere(database, row);
    return null;
  }
  if (now - row.lastSeenAt.getTime() > TOUCH_EVERY_MS) {
    await database.staffSession.updateMany({
      where: { id: row.id, endedAt: null },
      data: { lastSeenAt: new Date(now) },
    });
  }
  const { id, authenticatedAt, expiresAt, member } = row;
  const roles = member.roles.filter((role) => !member.withdrawnRoles.includes(role));
  const session: StaffSession = { id, roles, authenticatedAt, expiresAt, csrfToken: csrfTokenOf(token) };
  return { memberId: member.id, session };
}

/** Its cookie is somewhere else: whoever holds it, and whoever it was taken from, sign in anew. */
async function endElsewhere(database: Database, { id, memberId }: { id: string; memberId: string }): Promise<void> {
  await database.$transaction(async (tx) => {
    const { count } = await tx.staffSession.updateMany({ where: { id, endedAt: null }, data: { endedAt: new Date() } });
    if (count === 0) return;
    const entry = { integration: null, objectId: id, actor: staffActor(memberId), outcome: 'ended' };
    await appendJournal(tx, { kind: 'staff-session', ...entry, reason: 'other-browser' });
  });
}

function isSame(shown: string, kept: string): boolean {
  const [a, b] = [Buffer.from(shown), Buffer.from(kept)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** SameSite keeps the cookie from most of what others send; the token and the origin are the rest (R4.5). */
function assertOurPage({ publicUrl, log }: StaffChecks, req: Request, { csrfToken }: StaffSession): void {
  const origin = req.get('origin');
  const isOurs = origin === undefined || origin === new URL(publicUrl).origin;
  if (isOurs && isSame(req.get('x-csrf-token') ?? '', csrfToken)) return;
  log.info({ event: 'authentication', outcome: 'refused', code: 'csrf' }, 'refused');
  throw new HttpProblem({ status: 403, type: 'csrf', title: 'The request does not come from a page of this API' });
}

function forbidden(log: Logger): HttpProblem {
  log.info({ event: 'authentication', outcome: 'refused', code: 'staff-role' }, 'refused');
  return new HttpProblem({ status: 403, type: 'role', title: 'Your role does not include this' });
}

/** RFC 9470, said for a cookie: sign in again at `/staff/login?stepUp=true` and repeat. */
const stepUpRequired = (): HttpProblem =>
  new HttpProblem({
    status: 401,
    type: 'step-up',
    title: 'Sign in again to do this',
    headers: {
      'www-authenticate': `Cookie error="insufficient_user_authentication", max_age="${STEP_UP_S.toString()}"`,
    },
  });
