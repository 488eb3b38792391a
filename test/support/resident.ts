import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { projectFile } from '../../config/project-root';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import type { Harness } from './harness';
import { ended, until } from './until';

export const anna = RESIDENTS.anna.id;
export const photo = readFileSync(projectFile('sandbox/media/resident.jpg'));
export const partnerOf = (id: TownPartner['id']): TownPartner =>
  PARTNERS.find((partner) => partner.id === id) as TownPartner;

type Body = Record<string, unknown>;
export type ConsentBody = Body & { status: string; deletion: { state: string; deletedAt: string | null } | null };

/** What a resident does in the app, with what is expected of it by everybody. */
export function residentOf(h: Harness, own: string = anna) {
  async function consentTo(partnerId: string, residentId: string = own): Promise<string> {
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId, formId: form.body['formId'], formSha256: form.body['sha256'] };
    const { status, body } = await h.app.post(`/app/v1/residents/${residentId}/consents`, request);
    expect(status).toBe(201);
    return String(body['consentId']);
  }

  const upload = (partner: TownPartner, consentId: string, residentId: string = own) =>
    h.app.post(
      `/app/v1/residents/${residentId}/face-enrollments?consentId=${consentId}&houseId=${partner.houseId}`,
      photo,
    );

  async function enrolled(partner: TownPartner): Promise<{ consentId: string; enrollmentId: string }> {
    const consentId = await consentTo(partner.id);
    const enrollmentId = String((await upload(partner, consentId)).body['enrollmentId']);
    await ended(h, `enrollment/${enrollmentId}`);
    expect((await h.owner.enrollment.findUniqueOrThrow({ where: { id: enrollmentId } })).state).toBe('active');
    return { consentId, enrollmentId };
  }

  const consent = async (consentId: string): Promise<ConsentBody> =>
    (await h.app.get(`/app/v1/consents/${consentId}`)).body as ConsentBody;

  return {
    consentTo,
    upload,
    enrolled,
    withdraw: (consentId: string, key: string = randomUUID()) =>
      h.app.post(`/app/v1/consents/${consentId}/withdrawal`, {}, key),
    consent,
    /** Waits until the deletion that the consent's end made due is confirmed, as the app would see it. */
    deleted: (consentId: string) =>
      until('the deletion is confirmed', async () => (await consent(consentId)).deletion?.state === 'deleted'),
    /** The evidence about one object, oldest first. */
    journal: async (objectId: string) =>
      (await h.owner.journalEntry.findMany({ where: { objectId }, orderBy: { seq: 'asc' } })).map(
        ({ kind, outcome }) => `${kind} ${String(outcome)}`,
      ),
    /** Faces that a partner holds, by its own books; what it only says to have deleted counts as held. */
    held: async (partner: TownPartner) =>
      (await h.sandbox.faces(partner.id)).filter(({ state, keptSecretly }) => state !== 'deleted' || keptSecretly),
    atTheDoor: (partner: TownPartner) => h.sandbox.showFace(partner.id, partner.doorDeviceId, photo),
  };
}
