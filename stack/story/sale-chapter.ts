import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { enrollmentWorkflowId, propertySaleWorkflowId } from '../../contracts/ids';
import { FLAT_FOR_SALE, partnerById, RESIDENTS } from '../town';
import type { AppBackend } from './app-backend';
import { seen, told, type Cast } from './opening-chapter';
import { clientIdAt, relayed } from './ways-chapter';

/** Longer than any restart of a process in the story takes. */
const WITHIN_MS = 180_000;
const PLATE = 'Н246ОР77';

/**
 * Vera sells her flat (R3.9): denied from the registry's word on by every way in, deleted and blocked at the partner.
 * Then the sale turns out to be a mistake, so that the story can be told again.
 */
export async function tellSale({ teller, app, sandbox, photos }: Cast, registry: AppBackend): Promise<void> {
  const partner = partnerById(FLAT_FOR_SALE.partnerId);
  const { profile } = partner;
  const residentId = RESIDENTS.vera.id;
  teller.chapter(`${partner.displayName}: a flat is sold`);
  let saleId = '';
  let clientId = '';
  const workflowId = () => propertySaleWorkflowId(saleId);
  const step = (name: string, asked: string, expected: string, play: Parameters<typeof teller.step>[1]) =>
    teller.step({ name, profile, asked, expected }, play);
  const onDemand = async () =>
    told(sandbox, partner, (await app.post(`/app/v1/access-points/${partner.doorId}/openings`, { residentId })).body);
  const isHeld = async () => (await sandbox.platesHeld(partner.id)).some(({ plate }) => plate === PLATE);

  await step('the owner has a face and a car', 'POST /app/v1/…', 'active, plate allowed', async () => {
    clientId = await clientIdAt(app, partner, residentId);
    const form = await app.get('/app/v1/consent-forms/current');
    const { formId, sha256 } = form.body;
    const consent = { partnerId: partner.id, formId, formSha256: sha256 };
    const { body } = await app.post(`/app/v1/residents/${residentId}/consents`, consent);
    const query = new URLSearchParams({ consentId: String(body['consentId']), houseId: partner.houseId }).toString();
    const uploaded = await app.post(`/app/v1/residents/${residentId}/face-enrollments?${query}`, photos.resident);
    const enrollmentId = String(uploaded.body['enrollmentId']);
    // 409: from an earlier telling.
    await app.post(`/app/v1/residents/${residentId}/vehicles`, { plate: PLATE });
    const state = async () => String((await app.get(`/app/v1/face-enrollments/${enrollmentId}`)).body['state']);
    const isSettled = await soon(async () => !/requested|processing/.test(await state()) && (await isHeld()));
    const outcome = `${await state()}, plate ${isSettled ? '' : 'not '}allowed`;
    return { outcome, workflowId: enrollmentWorkflowId(enrollmentId) };
  });
  await step('the camera sees the owner', 'a face at the door', 'opened once', () =>
    seen(sandbox, partner, photos.resident),
  );
  await step('the registry reports the sale', 'POST /registry/v1/property-sales', 'in-force', async () => {
    const report = { registryReference: `R-${randomUUID()}`, propertyId: FLAT_FOR_SALE.propertyId };
    const { body } = await registry.post('/registry/v1/property-sales', report);
    saleId = String(body['saleId']);
    return { outcome: String(body['state'] ?? body['title']), workflowId: workflowId() };
  });
  await step('who sold opens on demand', 'POST /app/v1/access-points/{id}/openings', 'denied: no-right', onDemand);
  await step(
    'who sold asks at the device, and the partner relays it',
    'POST /partner/v1/resident-requests',
    'denied',
    () => relayed(sandbox, partner, clientId),
  );
  await step(
    'the partner deletes the face and blocks the plate',
    "GET /registry/v1/property-sales/{id}, and the partner's own books",
    'done: no face and no plate in the books of the partner',
    async () => {
      const isDone = await soon(
        async () => (await registry.get(`/registry/v1/property-sales/${saleId}`)).body['done'] === true,
      );
      const faces = (await sandbox.faces(partner.id)).filter((face) => face.state !== 'deleted' || face.keptSecretly);
      const held = `${faces.length === 0 ? 'no face' : 'a face'} and ${(await isHeld()) ? 'a plate' : 'no plate'}`;
      return {
        outcome: `${isDone ? 'done' : 'not done'}: ${held} in the books of the partner`,
        workflowId: workflowId(),
      };
    },
  );
  await step('the camera sees who sold', 'a face at the door', 'not recognized', () =>
    seen(sandbox, partner, photos.resident),
  );
  await step(
    'the sale was a mistake and is taken back',
    'POST /registry/v1/property-sales/{id}/reversal',
    'reversed, opened once',
    async () => {
      const { body } = await registry.post(`/registry/v1/property-sales/${saleId}/reversal`, {});
      const { outcome } = await onDemand();
      return { outcome: `${String(body['state'] ?? body['title'])}, ${outcome}`, workflowId: workflowId() };
    },
  );
}

async function soon(isSo: () => Promise<boolean>): Promise<boolean> {
  for (const untilMs = Date.now() + WITHIN_MS; Date.now() < untilMs;) {
    if (await isSo()) return true;
    await pause(200);
  }
  return false;
}
