import { z } from 'zod';
import { announcedView, AnnouncedView, announcementDesk, ToAnnounce } from '../announced-credentials';
import type { AnnouncementDependencies } from '../announced-credentials';
import { defineOperation, type Operation } from '../operation';
import { partnerWithin } from './member';
import { PartnerId } from './partners';

const List = z.object({ credentials: z.array(AnnouncedView) }).meta({ id: 'AnnouncedCredentialList' });

/** What partners prove themselves to us by and make themselves (R0.6): for one that cannot announce it, or any more. */
export function announcedCredentialOperations(deps: AnnouncementDependencies): Operation[] {
  const { database } = deps;
  const desk = announcementDesk(deps);
  return [
    defineOperation({
      id: 'listAnnouncedCredentials',
      method: 'get',
      path: '/partners/{partnerId}/announced-credentials',
      summary: 'Client certificates and message keys of a partner, newest first',
      permission: 'credentials:register',
      params: z.object({ partnerId: PartnerId }),
      responses: { 200: { description: 'What was announced', schema: List } },
      async handle({ params: { partnerId }, caller }) {
        await partnerWithin(database, caller, partnerId);
        const rows = await database.partnerCredential.findMany({
          where: { partnerId },
          orderBy: [{ announcedAt: 'desc' }, { version: 'desc' }],
          take: 100,
        });
        return { status: 200, body: { credentials: rows.map(announcedView) } };
      },
    }),
    defineOperation({
      id: 'registerCredential',
      method: 'post',
      path: '/partners/{partnerId}/announced-credentials',
      summary: "Take in a partner's next client certificate or message key, which it cannot announce itself",
      description: 'The first one that is known of a partner is in use at once; any later one when it has been used.',
      permission: 'credentials:register',
      stepUp: true,
      params: z.object({ partnerId: PartnerId }),
      body: { kind: 'json', schema: ToAnnounce },
      idempotency: 'own',
      responses: { 202: { description: 'Taken in, now or earlier', schema: AnnouncedView } },
      async handle({ params: { partnerId }, body, caller }) {
        const partner = await partnerWithin(database, caller, partnerId);
        return { status: 202, body: announcedView(await desk.announce(partner, body, caller.clientId)) };
      },
    }),
  ];
}
