import { setTimeout as pause } from 'node:timers/promises';
import { consentWorkflowId, deletionWorkflowId } from '../../contracts/ids';
import type { TownPartner } from '../town';
import type { AppBackend } from './app-backend';
import { seen, type Cast } from './opening-chapter';
import type { Told } from './teller';

/** Longer than any restart of a process in the story takes. */
const DELETED_WITHIN_MS = 180_000;

/**
 * The resident withdraws (R3.7, R3.8): denied from that moment, deleted wherever it is held, and nobody's word is taken
 * for it but the holder's own books.
 *
 * @param consentId the consent that the opening chapter began with
 */
export async function tellWithdrawal(cast: Cast, partner: TownPartner, consentId: string): Promise<void> {
  const { teller, app, sandbox, photos } = cast;
  const { profile, custody } = partner;
  teller.chapter(`${partner.displayName}: the resident withdraws`);

  await teller.step(
    {
      name: 'the resident withdraws the consent',
      profile,
      asked: 'POST /app/v1/consents/{id}/withdrawal',
      expected: 'withdrawn',
    },
    async () => {
      const { body } = await app.post(`/app/v1/consents/${consentId}/withdrawal`, {});
      return { outcome: String(body['status'] ?? body['title']), workflowId: consentWorkflowId(consentId) };
    },
  );
  await teller.step(
    {
      name: 'the face is deleted where it is held',
      profile,
      asked:
        custody === 'partner' ? "GET /app/v1/consents/{id}, and the partner's own books" : 'GET /app/v1/consents/{id}',
      expected: custody === 'partner' ? 'deleted, and no face in the books of the partner' : 'deleted',
    },
    async () => {
      const workflowId = deletionWorkflowId(consentId);
      const outcome = await deletion(app, consentId);
      if (custody === 'company' || outcome !== 'deleted') return { outcome, workflowId };
      return { outcome: `${outcome}, and ${await inTheBooks()} in the books of the partner`, workflowId };
    },
  );
  await teller.step(
    {
      name: 'the camera sees the resident who withdrew',
      profile,
      asked: 'a face at the door',
      expected: custody === 'company' ? 'denied' : 'not recognized',
    },
    (): Promise<Told> => seen(sandbox, partner, photos.resident),
  );

  async function inTheBooks(): Promise<string> {
    const faces = await sandbox.faces(partner.id);
    const held = faces.filter(({ state, keptSecretly }) => state !== 'deleted' || keptSecretly).length;
    return held === 0 ? 'no face' : `${held.toString()} faces`;
  }
}

/** Waits for the end of the deletion as the app would: by asking. */
async function deletion(app: AppBackend, consentId: string): Promise<string> {
  for (const untilMs = Date.now() + DELETED_WITHIN_MS; Date.now() < untilMs;) {
    const { body } = await app.get(`/app/v1/consents/${consentId}`);
    const state = (body['deletion'] as { state: string } | null)?.state ?? 'not due';
    if (state !== 'deleting') return state;
    await pause(200);
  }
  return 'still deleting';
}
