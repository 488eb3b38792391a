import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { enrollmentWorkflowId, erasureWorkflowId } from '../../contracts/ids';
import { moveGalinaIn } from '../seed';
import type { Stack } from '../stack';
import { GALINA, PARTNERS } from '../town';
import { ownDemand } from './app-backend';
import { enrolled, onDemand, type Cast } from './opening-chapter';
import type { Told } from './teller';
import { verified } from './verified';

export const GALINAS_PLATE = 'О321ОО177';
/** Longer than any restart of a process in the story takes. */
const WITHIN_MS = 180_000;

/**
 * A resident demands to be erased (R1.4; 152-FZ, articles 14 and 21): denied at once, deleted where it is held by the
 * holder's own books, found nowhere, and certified by a document that anybody can check.
 *
 * @param out folder for `erasure-certificate.json` and `.pdf`; a temporary one when none is asked for
 */
export async function tellErasure(cast: Cast, stack: Stack, out: string | undefined): Promise<void> {
  const { teller, app, sandbox, photos } = cast;
  const partner = PARTNERS.find(({ id }) => id === GALINA.partnerId);
  if (!partner) return;
  const { profile } = partner;
  const folder = out ?? mkdtempSync(join(tmpdir(), 'domovoy-story-'));
  const residentId = await moveGalinaIn(stack, stack.secrets);
  let erasureId = '';
  const workflowId = (): string => erasureWorkflowId(erasureId);
  teller.chapter(`${partner.displayName}: a resident demands to be erased`);

  await teller.step(
    {
      name: 'Galina is enrolled and registers a vehicle',
      profile,
      asked: 'POST /app/v1/residents/{id}/consents, …/face-enrollments, …/vehicles',
      expected: 'active, and the plate allowed at the partner',
    },
    async () => {
      const form = await app.get('/app/v1/consent-forms/current');
      const { formId, sha256 } = form.body;
      const request = { partnerId: partner.id, formId, formSha256: sha256 };
      const consent = await app.post(`/app/v1/residents/${residentId}/consents`, request);
      const consentId = String(consent.body['consentId']);
      const query = new URLSearchParams({ consentId, houseId: partner.houseId }).toString();
      const photo = await app.post(`/app/v1/residents/${residentId}/face-enrollments?${query}`, photos.resident);
      const enrollmentId = String(photo.body['enrollmentId']);
      const state = await enrolled(app, enrollmentId);
      await app.post(`/app/v1/residents/${residentId}/vehicles`, { plate: GALINAS_PLATE, houseId: partner.houseId });
      const isHeld = await comesTrue(async () => (await platesHeld()).includes(GALINAS_PLATE));
      return {
        outcome: `${state}, and the plate ${isHeld ? '' : 'not '}allowed at the partner`,
        workflowId: enrollmentWorkflowId(enrollmentId),
      };
    },
  );
  await teller.step(
    {
      name: 'Galina demands to be erased, and the next opening is denied',
      profile,
      asked: 'POST /app/v1/residents/{id}/erasure, with how the app identified her just now',
      expected: 'accepted; then denied: no-right',
    },
    async () => {
      const { status, body } = await app.post(`/app/v1/residents/${residentId}/erasure`, ownDemand());
      erasureId = String(body['erasureId']);
      const { outcome } = await onDemand(app, sandbox, partner, residentId);
      return {
        outcome: `${status === 202 ? 'accepted' : String(body['title'])}; then ${outcome}`,
        workflowId: workflowId(),
      };
    },
  );
  await teller.step(
    {
      name: 'everything is deleted, and a search of every store finds nothing',
      profile,
      asked: "GET /app/v1/erasures/{id}, and the partner's own books",
      expected: 'erased; found nowhere; no face and no plate in the books of the partner',
    },
    async (): Promise<Told> => {
      await comesTrue(async () => (await app.get(`/app/v1/erasures/${erasureId}`)).body['state'] === 'erased');
      const { body } = await app.get(`/app/v1/erasures/${erasureId}`);
      const found = (body['search'] as { found: { place: string }[] } | null)?.found ?? [{ place: 'not searched' }];
      const where = found.length === 0 ? 'nowhere' : found.map(({ place }) => place).join(', ');
      const outcome = `${String(body['state'])}; found ${where}; ${await inTheBooks()} in the books of the partner`;
      return { outcome, workflowId: workflowId() };
    },
  );
  await teller.step(
    {
      name: 'the certificate is kept, and checked offline after the key is gone',
      profile,
      asked: 'GET /app/v1/erasures/{id}/certificate; domovoy verify erasure-certificate.json --key {published}',
      expected: 'valid',
    },
    async () => {
      const { body } = await app.get(`/app/v1/erasures/${erasureId}/certificate`);
      const file = join(folder, 'erasure-certificate.json');
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, `${JSON.stringify(body)}\n`);
      const paper = await app.download(`/app/v1/erasures/${erasureId}/certificate.pdf`);
      writeFileSync(join(folder, 'erasure-certificate.pdf'), paper);
      return { outcome: await verified(app, file), workflowId: workflowId() };
    },
  );

  async function platesHeld(): Promise<string[]> {
    return (await sandbox.platesHeld(GALINA.partnerId)).map(({ plate }) => plate);
  }

  async function inTheBooks(): Promise<string> {
    const faces = await sandbox.faces(GALINA.partnerId);
    const held = faces.filter(({ state, keptSecretly }) => state !== 'deleted' || keptSecretly).length;
    const isThere = (await platesHeld()).includes(GALINAS_PLATE);
    return `${held === 0 ? 'no face' : `${held.toString()} faces`} and ${isThere ? 'her' : 'no'} plate`;
  }
}

/** @returns whether it came true in time */
async function comesTrue(isSo: () => Promise<boolean>): Promise<boolean> {
  for (const untilMs = Date.now() + WITHIN_MS; Date.now() < untilMs;) {
    if (await isSo()) return true;
    await pause(200);
  }
  return false;
}
