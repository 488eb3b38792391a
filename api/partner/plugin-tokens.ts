import { timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { PluginTokenCheck, PluginTokenVerdict } from '../../contracts/plugin-sessions';
import { appendJournal, type JournalRecord } from '../../journal/journal';
import { appendAbout } from '../../journal/subjects';
import type { Database } from '../../prisma/database';
import { hashSecret } from '../../vault/secret-hash';
import type { SubjectVault } from '../../vault/subject-keys';
import { partnerOf } from '../authentication/caller';
import { defineOperation, type Operation } from '../operation';
import type { PluginTokenGuesses } from '../plugin-token-guesses';
import { HttpProblem } from '../problem';

type Dependencies = {
  readonly database: Database;
  readonly subjects: SubjectVault;
  readonly guesses: PluginTokenGuesses;
};

/** A client id that nobody has: compared with when there is no session, so that all refusals do the same work. */
const NOBODY = '00000000-0000-0000-0000-000000000000';

/** Whether a plugin's token is valid and belongs to the client id that it came with (R0.3). */
export function pluginTokenOperations({ database, subjects, guesses }: Dependencies): Operation[] {
  return [
    defineOperation({
      id: 'verifyPluginToken',
      method: 'post',
      path: '/plugin-tokens/verifications',
      summary: 'Whether a plugin token is valid and belongs to a client id',
      description: 'Says yes or no, never why. Too many refusals and further checks are not looked at for a while.',
      scope: 'plugin-tokens:verify',
      params: z.object({}),
      body: { kind: 'json', schema: PluginTokenCheck },
      responses: { 200: { description: 'Yes or no', schema: PluginTokenVerdict } },
      async handle({ body, caller, requestId }) {
        const { partnerId, integration } = partnerOf(caller);
        const { clientId: actor } = caller;
        const waitS = await guesses.blockedForS(partnerId, body.clientId);
        if (waitS > 0) throw tooMany(waitS);
        const { valid, session } = await check(partnerId, body);
        if (!valid) await guesses.record(partnerId, body.clientId);
        const outcome = valid ? 'valid' : 'not-valid';
        const objectId = session?.id ?? requestId;
        const record: JournalRecord = { kind: 'plugin-token-check', integration, objectId, actor, outcome };
        if (session) await appendAbout(database, subjects, { ...session, details: { partnerId } }, record);
        else await appendJournal(database, record);
        return { status: 200, body: { valid }, headers: { 'cache-control': 'no-store' } };
      },
    }),
  ];

  /** One query and one comparison of equal length for every answer; the token itself is 256 random bits. */
  async function check(partnerId: string, { token, clientId }: z.infer<typeof PluginTokenCheck>) {
    const now = new Date();
    const [session] = await database.$queryRaw<Session[]>`
      SELECT s.id, s.resident_id AS "residentId", s.partner_id AS "partnerId", s.ended_at AS "endedAt", s.expires_at AS "expiresAt",
        r.status, p.token::text AS "clientId",
        EXISTS (SELECT FROM property_rights pr JOIN properties o ON o.id = pr.property_id
                  JOIN house_partners h ON h.house_id = o.house_id AND h.partner_id = s.partner_id
                 WHERE pr.resident_id = s.resident_id AND pr.starts_at <= ${now}
                   AND (pr.ends_at IS NULL OR pr.ends_at > ${now})) AS "hasRight"
      FROM plugin_sessions s
        JOIN residents r ON r.id = s.resident_id
        JOIN partner_subjects p ON p.resident_id = s.resident_id AND p.partner_id = s.partner_id
      WHERE s.token_sha256 = ${hashSecret(token)}`;
    const given = Buffer.from(hashSecret(clientId.toLowerCase()));
    const same = timingSafeEqual(Buffer.from(hashSecret(session?.clientId ?? NOBODY)), given);
    const inForce =
      session?.partnerId === partnerId &&
      session.endedAt === null &&
      session.expiresAt.getTime() > Date.now() &&
      session.status === 'active' &&
      session.hasRight;
    return { valid: same && inForce, session: session?.partnerId === partnerId ? session : undefined };
  }
}

type Session = {
  readonly id: string;
  readonly residentId: string;
  readonly partnerId: string;
  readonly endedAt: Date | null;
  readonly expiresAt: Date;
  readonly status: string;
  readonly clientId: string;
  /** At a house that the partner serves. */
  readonly hasRight: boolean;
};

const tooMany = (waitS: number): HttpProblem =>
  new HttpProblem({
    status: 429,
    type: 'too-many-requests',
    title: 'Too many checks were refused',
    headers: { 'retry-after': waitS.toString() },
  });
