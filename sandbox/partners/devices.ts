import { randomInt, randomUUID } from 'node:crypto';
import express, { type Express, type Request, type Response } from 'express';
import { z } from 'zod';
import { controlInput, ControlRefusal, pathParameter } from '../control-port';
import { cameraPicture } from './camera-picture';
import type { CompanyAnswer } from './company-client';
import { NoToken } from './company-tokens';
import type { Device, House } from './custody';
import { faceFeatures } from './face-features';
import type { Partner } from './partner';
import { UnreadablePhoto } from './photo-quality';

const Seeing = z.object({
  variant: z.enum(['a', 'b']).default('b'),
  /** Which of the camera's takes it is; the same number gives the same picture. `none`: the picture as it is. */
  jitter: z.union([z.literal('none'), z.coerce.number().int().min(0)]).optional(),
  idempotencyKey: z.string().min(1).max(255).optional(),
});
const Vector = z.strictObject({
  vector: z.array(z.unknown()).max(5_000),
  variant: z.enum(['a', 'b']).default('b'),
  idempotencyKey: z.string().min(1).max(255).optional(),
});
const Plate = z.strictObject({
  plate: z.string().max(100),
  variant: z.enum(['a', 'b']).default('b'),
  idempotencyKey: z.string().min(1).max(255).optional(),
});
const ResidentRequest = z.strictObject({
  clientId: z.string().max(200),
  idempotencyKey: z.string().min(1).max(255).optional(),
});
const At = z.iso.datetime().optional();
const KeyUse = z.strictObject({ keyId: z.string().min(1).max(100), at: At });
const FobUse = z.strictObject({ fobId: z.string().min(1).max(100), at: At });

/** What a device saw and what came of it. */
type Sighting = {
  readonly seen: string;
  readonly company: { status: number | null; body: unknown; attempts: number } | null;
  /** What the partner did by itself, when it needs no company for it. */
  readonly opened?: { at: string };
};

/** The virtual cameras, readers and key readers of all partners, on the control port. */
export function deviceRoutes(app: Express, partnerOf: (req: Request) => Partner): void {
  const picture = express.raw({ type: ['image/*', 'application/octet-stream'], limit: '12mb' });

  app.post('/partners/:partner/cameras/:deviceId/faces', picture, async (req, res) => {
    const partner = partnerOf(req);
    const { device, house } = deviceOf(partner, req);
    const seeing = controlInput(Seeing, req.query);
    if (!Buffer.isBuffer(req.body)) throw new ControlRefusal(415, 'media_type', 'Send the picture as image/jpeg.');
    const photo = req.body;
    await timed(res, async () => {
      const taken = seeing.jitter === 'none' ? photo : await cameraPicture(photo, seeing.jitter ?? randomInt(2 ** 31));
      if (partner.custody === 'company') {
        const features = await faceFeatures(taken);
        if (!features.ok) return { seen: features.reason, company: null };
        return openByVector(partner, device, features.vector, seeing);
      }
      const found = await partner.effects.recognize(taken, house.id);
      if (found === null) return { seen: 'no-match', company: null };
      if (typeof found === 'string') return { seen: found, company: null };
      const company = await residentRequest(partner, device, found.clientId, 'face', seeing.idempotencyKey);
      return { seen: 'match', company };
    });
  });

  app.post('/partners/:partner/cameras/:deviceId/vectors', async (req, res) => {
    const partner = partnerOf(req);
    const { device } = deviceOf(partner, req);
    const input = controlInput(Vector, req.body);
    await timed(res, () => openByVector(partner, device, input.vector, input));
  });

  app.post('/partners/:partner/readers/:deviceId/plates', async (req, res) => {
    const partner = partnerOf(req);
    const { device, house } = deviceOf(partner, req);
    const { plate, ...input } = controlInput(Plate, req.body);
    await timed(res, async () => {
      if (partner.custody === 'company')
        return openAt(partner, device, { plate }, { device_id: device.id, plate }, 'sent', input);
      const entry = await partner.effects.enterByPlate(device.id, house.id, plate);
      return entry === undefined
        ? { seen: 'no-match', company: null }
        : { seen: 'match', company: null, opened: { at: entry.at } };
    });
  });

  app.post('/partners/:partner/devices/:deviceId/requests', async (req, res) => {
    const partner = partnerOf(req);
    const { device } = deviceOf(partner, req);
    const { clientId, idempotencyKey } = controlInput(ResidentRequest, req.body);
    await timed(res, async () => ({
      seen: 'request',
      company: await residentRequest(partner, device, clientId, 'request', idempotencyKey),
    }));
  });

  app.post('/partners/:partner/devices/:deviceId/keys', async (req, res) => {
    const partner = partnerOf(req);
    const { device, house } = deviceOf(partner, req);
    const { keyId, at } = controlInput(KeyUse, req.body);
    requireGivenOut(house.keys, keyId);
    await reported(partner, res, 'key-openings', { deviceId: device.id, keyId, at: at ?? new Date().toISOString() });
  });

  app.post('/partners/:partner/devices/:deviceId/fobs', async (req, res) => {
    const partner = partnerOf(req);
    const { device, house } = deviceOf(partner, req);
    const { fobId, at } = controlInput(FobUse, req.body);
    requireGivenOut(house.fobs, fobId);
    await reported(partner, res, 'fob-openings', { deviceId: device.id, fobId, at: at ?? new Date().toISOString() });
  });
}

type Way = { readonly variant: 'a' | 'b'; readonly idempotencyKey?: string | undefined };

function openByVector(partner: Partner, device: Device, vector: readonly unknown[], way: Way): Promise<Sighting> {
  const identification = { device_id: device.id, face_vector: vector.map(String).join(',') };
  return openAt(partner, device, { faceVector: vector }, identification, 'sent', way);
}

/** Variant B sends what was seen with the opening; variant A has it identified at the token endpoint first (R1.6–R1.9). */
async function openAt(
  partner: Partner,
  device: Device,
  body: unknown,
  identification: Record<string, string>,
  seen: string,
  { variant, idempotencyKey }: Way,
): Promise<Sighting> {
  const path = `/partner/v1/${device.kind}s/${encodeURIComponent(device.id)}/openings`;
  const key = idempotencyKey ?? randomUUID();
  if (variant === 'b')
    return { seen, company: shown(await partner.company.call({ method: 'POST', path, body, idempotencyKey: key })) };
  if (partner.identify === null)
    throw new ControlRefusal(409, 'variant', 'This partner does not identify at the token endpoint.');
  try {
    const bearer = await partner.identify(identification);
    const call = { method: 'POST', path, body: {}, idempotencyKey: key } as const;
    return { seen, company: shown(await partner.company.call(call, { bearer })) };
  } catch (error) {
    if (error instanceof NoToken) return { seen, company: { status: error.status, body: error.body, attempts: 1 } };
    return { seen, company: { status: null, body: null, attempts: 1 } };
  }
}

async function residentRequest(
  partner: Partner,
  device: Device,
  clientId: string,
  recognizedBy: 'face' | 'request',
  key: string | undefined,
) {
  const body = { clientId, deviceId: device.id, action: 'open', recognizedBy };
  const call = {
    method: 'POST',
    path: '/partner/v1/resident-requests',
    body,
    idempotencyKey: key ?? randomUUID(),
  } as const;
  return shown(await partner.company.call(call));
}

/** 202 with the event's id: it stands in the outbox, whatever became of the first attempt. */
async function reported(
  partner: Partner,
  res: Response,
  kind: 'key-openings' | 'fob-openings',
  body: Record<string, unknown>,
): Promise<void> {
  res.status(202).json({ eventId: await partner.effects.report(kind, body) });
}

async function timed(res: Response, see: () => Promise<Sighting>): Promise<void> {
  const began = performance.now();
  try {
    const sighting = await see();
    res.json({ ...sighting, durationMs: Math.round(performance.now() - began) });
  } catch (error) {
    if (error instanceof UnreadablePhoto) throw new ControlRefusal(400, 'photo', 'The picture cannot be read.');
    throw error;
  }
}

function shown({ status, body, attempts }: CompanyAnswer) {
  return { status, body, attempts };
}

function deviceOf(partner: Partner, req: Request): { device: Device; house: House } {
  const found = partner.store.device(pathParameter(req, 'deviceId'));
  if (found === undefined) throw new ControlRefusal(404, 'unknown_device', 'This partner has no such device.');
  return found;
}

function requireGivenOut(given: readonly string[], id: string): void {
  if (given.length > 0 && !given.includes(id))
    throw new ControlRefusal(404, 'unknown_key', 'No such key or fob was given out at this house.');
}
