import { randomBytes, randomUUID } from 'node:crypto';
import { PluginSessionRequest, PluginSessionView } from '../../contracts/plugin-sessions';
import { z } from 'zod';
import { appendAbout } from '../../journal/subjects';
import { isUniqueViolation, type Database } from '../../prisma/database';
import { hashSecret } from '../../vault/secret-hash';
import type { SubjectVault } from '../../vault/subject-keys';
import { defineOperation, type Operation } from '../operation';
import { partnerSubjectToken } from '../partner-subjects';
import { HttpProblem, invalidField } from '../problem';

type Dependencies = { readonly database: Database; readonly subjects: SubjectVault };

/** R0.2: at most 24 hours. */
const SESSION_LIFE_MS = 24 * 3_600_000;

/**
 * What a partner's plugin is initialized with (R0.1, R0.2). The token is in the answer and nowhere else, so answers are
 * not stored for repeats: a repeat gives another token and ends the session before, and what then counts is the last
 * answer, whichever of them arrived. That is harmless, since a session has no other effect.
 */
export function pluginSessionOperations({ database, subjects }: Dependencies): Operation[] {
  return [
    defineOperation({
      id: 'startPluginSession',
      method: 'post',
      path: '/plugin-sessions',
      summary: "Initialize a partner's plugin: the resident's client id and a new token",
      description: 'Ends the session before. A repeat with the same Idempotency-Key gives another token, too.',
      scope: 'app',
      params: z.object({}),
      body: { kind: 'json', schema: PluginSessionRequest },
      idempotency: 'own',
      responses: { 201: { description: 'The session', schema: PluginSessionView } },
      async handle({ body: { residentId, partnerId }, caller }) {
        const [resident, partner] = await Promise.all([
          database.resident.findUnique({ where: { id: residentId } }),
          database.partner.findUnique({ where: { id: partnerId } }),
        ]);
        if (resident?.status !== 'active') throw invalidField('residentId', 'is not a resident', 404);
        if (!partner?.active) throw invalidField('partnerId', 'is not a partner', 404);
        await assertRight(residentId, partnerId);
        const { integration } = partner;
        const body = await start({ residentId, partnerId, integration }, caller.clientId).catch(busyIfTaken);
        return { status: 201, body, headers: { 'cache-control': 'no-store' } };
      },
    }),
  ];

  /** Also asked when the token is checked: a right may end in between (R3.9). */
  async function assertRight(residentId: string, partnerId: string): Promise<void> {
    const now = new Date();
    const right = await database.propertyRight.findFirst({
      where: {
        residentId,
        startsAt: { lte: now },
        OR: [{ endsAt: null }, { endsAt: { gt: now } }],
        property: { house: { partners: { some: { partnerId } } } },
      },
      select: { id: true },
    });
    if (!right)
      throw new HttpProblem({ status: 403, type: 'no-right', title: 'The resident has no right at any house' });
  }

  async function start(subject: { residentId: string; partnerId: string; integration: string }, actor: string) {
    const token = randomBytes(32).toString('base64url');
    const now = new Date();
    const expiresAt = new Date(now.getTime() + SESSION_LIFE_MS);
    const id = randomUUID();
    const { residentId, partnerId, integration } = subject;
    const clientId = await database.$transaction(async (tx) => {
      const subjectToken = await partnerSubjectToken(tx, subject);
      await tx.pluginSession.updateMany({ where: { residentId, partnerId, endedAt: null }, data: { endedAt: now } });
      await tx.pluginSession.create({ data: { id, ...subject, tokenSha256: hashSecret(token), expiresAt } });
      const entry = { integration, objectId: id, actor, outcome: 'started' };
      await appendAbout(tx, subjects, { residentId, details: { partnerId } }, { kind: 'plugin-session', ...entry });
      return subjectToken;
    });
    return { clientId, token, expiresAt: expiresAt.toISOString() };
  }
}

/** Two at the same instant: the index "plugin_sessions_one_at_a_time" let one of them in. */
function busyIfTaken(error: unknown): never {
  if (!isUniqueViolation(error)) throw error;
  throw new HttpProblem({
    status: 409,
    type: 'request-in-progress',
    title: 'Another session of this resident is being started',
    headers: { 'retry-after': '1' },
  });
}
