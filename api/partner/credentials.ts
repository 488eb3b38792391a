import { z } from 'zod';
import { partnerOf } from '../authentication/caller';
import { announcedView, AnnouncedView, announcementDesk, ToAnnounce } from '../announced-credentials';
import type { AnnouncementDependencies } from '../announced-credentials';
import { defineOperation, type Operation } from '../operation';

/** What a partner makes itself and proves itself to us by (R0.6, R3.1): announced with what is in use now. */
export function partnerCredentialOperations(deps: AnnouncementDependencies): Operation[] {
  const desk = announcementDesk(deps);
  return [
    defineOperation({
      id: 'announceCredential',
      method: 'post',
      path: '/credentials',
      summary: 'Announce your next client certificate, or the next key that you sign messages with (R0.6)',
      description:
        'It is good at once. The one in use stays good until a day after you first used the new one, and is refused from then on, with the tokens that were got with it.',
      scope: 'credentials:announce',
      params: z.object({}),
      body: { kind: 'json', schema: ToAnnounce },
      idempotency: 'own',
      responses: { 202: { description: 'Taken in, now or earlier', schema: AnnouncedView } },
      async handle({ body, caller }) {
        const { partnerId: id, integration } = partnerOf(caller);
        return { status: 202, body: announcedView(await desk.announce({ id, integration }, body, caller.clientId)) };
      },
    }),
  ];
}
