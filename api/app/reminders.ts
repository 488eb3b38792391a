import { z } from 'zod';
import { RemindersView } from '../../contracts/consents';
import type { Database } from '../../prisma/database';
import { defineOperation, type Operation } from '../operation';
import { notFound } from '../problem';

/** What the app is to tell a resident. Of a consent that was renewed or has ended nothing is shown any more. */
export function reminderOperations({ database }: { database: Database }): Operation[] {
  return [
    defineOperation({
      id: 'listReminders',
      method: 'get',
      path: '/residents/{residentId}/reminders',
      summary: 'What a resident is to be reminded of, such as a consent that is about to expire',
      scope: 'app',
      params: z.object({ residentId: z.uuid() }),
      responses: { 200: { description: 'The reminders, newest first', schema: RemindersView } },
      async handle({ params: { residentId } }) {
        const resident = await database.resident.findUnique({ where: { id: residentId } });
        if (resident?.status !== 'active') throw notFound('residentId');
        const reminders = await database.reminder.findMany({
          where: { residentId, consent: { status: 'granted' } },
          include: { consent: true },
          orderBy: [{ createdAt: 'desc' }, { daysBefore: 'asc' }],
        });
        const items = reminders
          .filter(({ expiresAt, consent }) => expiresAt.getTime() === consent.expiresAt.getTime())
          .map(({ consentId, consent, daysBefore, expiresAt }) => ({
            kind: 'consent-expires',
            consentId,
            partnerId: consent.partnerId,
            daysBefore,
            expiresAt: expiresAt.toISOString(),
          }));
        return { status: 200, body: { items } };
      },
    }),
  ];
}
