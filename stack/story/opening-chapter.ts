import { setTimeout as pause } from 'node:timers/promises';
import { consentWorkflowId, enrollmentWorkflowId, openAccessWorkflowId } from '../../contracts/ids';
import { RESIDENTS, type TownPartner } from '../town';
import type { AppBackend } from './app-backend';
import type { Sandbox } from './sandbox-control';
import type { Teller, Told } from './teller';

export type Cast = {
  readonly teller: Teller;
  readonly app: AppBackend;
  readonly sandbox: Sandbox;
  readonly photos: { readonly resident: Buffer; readonly stranger: Buffer };
};

/**
 * Consent, enrollment, and the ways in and not in, with one partner: the main story of the product.
 *
 * @returns the id of the consent
 */
export async function tellOpening({ teller, app, sandbox, photos }: Cast, partner: TownPartner): Promise<string> {
  const { profile } = partner;
  const { anna, boris } = RESIDENTS;
  teller.chapter(`${partner.displayName} (${profile}, ${partner.integration}, faces in ${partner.custody} custody)`);
  let consentId = '';

  await teller.step(
    { name: 'the resident consents', profile, asked: `POST /app/v1/residents/{id}/consents`, expected: 'granted' },
    async () => {
      const form = await app.get('/app/v1/consent-forms/current');
      const { formId, sha256 } = form.body;
      const request = { partnerId: partner.id, formId, formSha256: sha256 };
      const { body } = await app.post(`/app/v1/residents/${anna.id}/consents`, request);
      consentId = String(body['consentId']);
      return { outcome: String(body['status'] ?? body['title']), workflowId: consentWorkflowId(consentId) };
    },
  );

  await teller.step(
    {
      name: 'the resident uploads a photo and is enrolled',
      profile,
      asked: 'POST /app/v1/residents/{id}/face-enrollments',
      expected: 'active',
    },
    async () => {
      const query = new URLSearchParams({ consentId, houseId: partner.houseId }).toString();
      const { body } = await app.post(`/app/v1/residents/${anna.id}/face-enrollments?${query}`, photos.resident);
      const enrollmentId = String(body['enrollmentId']);
      return { outcome: await enrolled(app, enrollmentId), workflowId: enrollmentWorkflowId(enrollmentId) };
    },
  );

  await teller.step(
    { name: 'the camera sees the resident', profile, asked: 'a face at the door', expected: 'opened once' },
    () => seen(sandbox, partner, photos.resident),
  );
  await teller.step(
    {
      name: 'the resident opens on demand',
      profile,
      asked: 'POST /app/v1/access-points/{id}/openings',
      expected: 'opened once',
    },
    () => onDemand(app, sandbox, partner, anna.id),
  );
  await teller.step(
    {
      name: 'a resident who has not paid is denied',
      profile,
      asked: 'POST /app/v1/access-points/{id}/openings',
      expected: 'denied: service-unpaid',
    },
    () => onDemand(app, sandbox, partner, boris.id),
  );
  await teller.step(
    {
      name: 'a stranger is denied',
      profile,
      asked: 'a face at the door',
      expected: partner.custody === 'company' ? 'denied' : 'not recognized',
    },
    () => seen(sandbox, partner, photos.stranger),
  );
  return consentId;
}

/** Longer than any restart of a process in the story takes. */
const ENROLLED_WITHIN_MS = 180_000;

/** Waits for the enrollment's end as the app would: by asking. */
export async function enrolled(app: AppBackend, enrollmentId: string): Promise<string> {
  for (const untilMs = Date.now() + ENROLLED_WITHIN_MS; Date.now() < untilMs;) {
    const { body } = await app.get(`/app/v1/face-enrollments/${enrollmentId}`);
    const state = String(body['state'] ?? body['title']);
    if (state !== 'requested' && state !== 'processing') return state;
    await pause(200);
  }
  return 'still in progress';
}

/** What a camera made of a picture, and what we answered to it. */
export async function seen(sandbox: Sandbox, partner: TownPartner, picture: Buffer): Promise<Told> {
  const { company } = await sandbox.showFace(partner.id, partner.doorDeviceId, picture);
  if (company === null) return { outcome: 'not recognized' };
  return told(sandbox, partner, company.body);
}

export async function onDemand(
  app: AppBackend,
  sandbox: Sandbox,
  partner: TownPartner,
  residentId: string,
): Promise<Told> {
  const { body } = await app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId });
  return told(sandbox, partner, body);
}

/** The resident who has paid opens on demand. */
export const onDemandBy = (app: AppBackend, sandbox: Sandbox, partner: TownPartner): Promise<Told> =>
  onDemand(app, sandbox, partner, RESIDENTS.anna.id);

/** What the API said, and for an opened door what the partner's own ledger says of it. */
export async function told(sandbox: Sandbox, partner: TownPartner, body: Record<string, unknown>): Promise<Told> {
  const openingId = String(body['openingId']);
  const workflowId = openAccessWorkflowId(openingId);
  if (body['status'] !== 'opened') {
    const denied = String(body['type']).endsWith('access-denied') ? 'denied' : String(body['title']);
    const { reason } = body;
    return { outcome: typeof reason === 'string' ? `${denied}: ${reason}` : denied, workflowId };
  }
  const effects = await sandbox.effects(partner.id, `open/${openingId}`);
  return { outcome: effects === 1 ? 'opened once' : `opened ${effects.toString()} times`, workflowId };
}
