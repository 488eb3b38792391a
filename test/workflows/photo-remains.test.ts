import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import sharp from 'sharp';
import { projectFile } from '../../config/project-root';
import { parseKeyRing } from '../../config/environment';
import { PHOTO_REFUSALS } from '../../contracts/enrollment';
import { PARTNERS, RESIDENTS, type TownPartner } from '../../stack/town';
import { localKeyEncryption } from '../../vault/key-encryption';
import { createPhotoStage } from '../../vault/staged-photos';
import { breakPartner, mendEverything } from '../support/faults';
import { createHarness, type Harness } from '../support/harness';

const resident = readFileSync(projectFile('sandbox/media/resident.jpg'));
const anna = RESIDENTS.anna.id;
const partnerOf = (id: string) => PARTNERS.find((partner) => partner.id === id) as TownPartner;
const vizor = partnerOf('vizor');
const kluch = partnerOf('kluch');
const CANARY = 'canary-of-the-camera';

/** What there is to search for: the uploaded and the staged picture and what the stage was sealed with. */
type Traces = { readonly what: string; readonly bytes: Buffer }[];

describe('of a photo', () => {
  let h: Harness;
  /** Lying on its side, as phones store it, with the place where it was taken. */
  let photo: Buffer;
  let upright: Buffer;
  beforeAll(async () => {
    // The real server: the other one does not take back what a worker held that died.
    h = await createHarness({ server: 'real' });
    upright = await sharp(resident).autoOrient().toBuffer();
    photo = await sharp(upright)
      .rotate(270)
      .withExif({ IFD0: { Make: CANARY }, IFD3: { GPSLatitude: '55/1 45/1 0/1' } })
      .withMetadata({ orientation: 6 })
      .jpeg({ quality: 95 })
      .toBuffer();
  }, 120_000);
  afterAll(() => h.close());
  afterEach(() => mendEverything(h));

  /** @param held with the workers ended between the consent and the upload, so that the photo stays on the stage */
  async function upload(partner: TownPartner, held = false): Promise<{ enrollmentId: string; consentId: string }> {
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId: partner.id, formId: form.body['formId'], formSha256: form.body['sha256'] };
    const consent = await h.app.post(`/app/v1/residents/${anna}/consents`, request);
    const consentId = String(consent.body['consentId']);
    if (held) await h.stopWorkers();
    const query = `consentId=${consentId}&houseId=${partner.houseId}`;
    const { status, body } = await h.app.post(`/app/v1/residents/${anna}/face-enrollments?${query}`, photo);
    expect(status).toBe(202);
    return { enrollmentId: String(body['enrollmentId']), consentId };
  }

  async function outcome(enrollmentId: string): Promise<string> {
    await h.temporal.client.workflow.getHandle(`enrollment/${enrollmentId}`).result();
    return String((await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`)).body['state']);
  }

  /** Uploads while the partner fails or no worker runs, so that the stage can be looked into before it is purged. */
  async function uploadAndLook(
    partner: TownPartner,
    held = false,
  ): Promise<{ enrollmentId: string; consentId: string; traces: Traces; clean: Buffer }> {
    const ids = await upload(partner, held);
    const row = await h.owner.stagedPhoto.findUniqueOrThrow({ where: { enrollmentId: ids.enrollmentId } });
    const ring = parseKeyRing(h.secrets.keyEncryptionKeys.value);
    const stage = createPhotoStage(localKeyEncryption(ring.keys, ring.currentId));
    const clean = await stage.take(h.owner, ids.enrollmentId);
    if (clean === null) throw new Error('nothing is staged');
    const traces = [
      { what: 'the upload', bytes: photo },
      { what: 'the clean photo', bytes: clean },
      { what: 'the sealed photo', bytes: Buffer.from(row.sealed) },
      { what: 'the wrapped key', bytes: Buffer.from(row.wrappedKey) },
    ];
    // The search finds what is there, or it would prove nothing later.
    expect(await remains(traces)).toEqual(['the sealed photo', 'the wrapped key']);
    return { ...ids, traces, clean };
  }

  /** Searches every row of every table, every file of the state folder and the log. */
  async function remains(traces: Traces): Promise<string[]> {
    const places = [await everyRow(), everyFile(h.stateFolder), Buffer.from(h.logLines.join('\n'))];
    return traces
      .filter(({ bytes }) => {
        const piece = bytes.subarray(bytes.length >> 1, (bytes.length >> 1) + 30);
        const needles = [piece, Buffer.from(piece.toString('hex')), Buffer.from(piece.toString('base64'))];
        return places.some((place) => needles.some((needle) => place.includes(needle)));
      })
      .map(({ what }) => what);
  }

  /** Every table as text; bytes show as hexadecimal digits. */
  async function everyRow(): Promise<Buffer> {
    const client = new Client({ connectionString: h.db.ownerUrl });
    await client.connect();
    try {
      const tables = await client.query<{ name: string }>(
        "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'",
      );
      const parts: string[] = [];
      for (const { name } of tables.rows) {
        const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${name} AS t`);
        parts.push(...rows.map(({ row }) => row));
      }
      expect(tables.rows.length).toBeGreaterThan(15);
      return Buffer.from(parts.join('\n'));
    } finally {
      await client.end();
    }
  }

  it('nothing but an upright picture without metadata is staged, and just that reaches the partner', async () => {
    const { enrollmentId, clean } = await uploadAndLook(kluch, true);
    await h.startWorkers();
    const staged = await sharp(clean).metadata();
    const wanted = await sharp(upright).metadata();
    expect([staged.exif, staged.xmp, staged.icc, staged.iptc, staged.orientation]).toEqual(Array(5).fill(undefined));
    expect([staged.width, staged.height]).toEqual([wanted.width, wanted.height]);
    expect(await difference(clean, upright)).toBeLessThan(6);
    expect(clean.includes(CANARY)).toBe(false);
    expect(await outcome(enrollmentId)).toBe('active');
    const holdings = await fetch(`${h.sandboxControlUrl}/partners/kluch/holdings`);
    const { faces } = (await holdings.json()) as { faces: { photoSha256: string; state: string }[] };
    expect(faces.map(({ photoSha256 }) => photoSha256)).toEqual([createHash('sha256').update(clean).digest('hex')]);
  });

  it.each([vizor, kluch])('nothing is left after success at $id', async (partner) => {
    const { enrollmentId, traces } = await uploadAndLook(partner, true);
    await h.startWorkers();
    expect(await outcome(enrollmentId)).toBe('active');
    expect(await remains(traces)).toEqual([]);
  });

  it('nothing is left after a rejection', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'face-vectors', fault: 'refuse-photo', reason: 'blurred', times: 1 });
    const { enrollmentId, traces } = await uploadAndLook(vizor, true);
    await h.startWorkers();
    expect(await outcome(enrollmentId)).toBe('rejected');
    expect(await remains(traces)).toEqual([]);
  });

  it.each([
    { partner: vizor, endpoint: 'face-vectors' },
    { partner: kluch, endpoint: 'faces' },
  ])('nothing is left after a cancellation in the middle at $partner.id', async ({ partner, endpoint }) => {
    await breakPartner(h, partner.id, { endpoint, fault: 'error' });
    const { enrollmentId, traces } = await uploadAndLook(partner);
    await h.temporal.client.workflow.getHandle(`enrollment/${enrollmentId}`).cancel();
    await mendEverything(h);
    expect(await outcome(enrollmentId)).toBe('cancelled');
    expect(await remains(traces)).toEqual([]);
  });

  it('nothing is left when its enrollment ends by a withdrawal while the partner is down', async () => {
    await breakPartner(h, 'kluch', { endpoint: 'faces', fault: 'error', times: 2 });
    const { enrollmentId, consentId, traces } = await uploadAndLook(kluch);
    await breakPartner(h, 'kluch', { endpoint: 'face-state', fault: 'error' });
    await h.owner.consent.update({ where: { id: consentId }, data: { status: 'withdrawn' } });
    await mendEverything(h);
    expect(await outcome(enrollmentId)).toBe('cancelled');
    expect(await remains(traces)).toEqual([]);
  });

  it.each(PHOTO_REFUSALS.filter((reason) => reason !== 'not-usable'))(
    'a partner’s refusal %s reaches the resident',
    async (reason) => {
      for (const [partner, endpoint] of [
        [vizor, 'face-vectors'],
        [kluch, 'faces'],
      ] as const) {
        await breakPartner(h, partner.id, { endpoint, fault: 'refuse-photo', reason, times: 1 });
        const { enrollmentId } = await upload(partner);
        expect(await outcome(enrollmentId)).toBe('rejected');
        const { body } = await h.app.get(`/app/v1/face-enrollments/${enrollmentId}`);
        expect(body['refusal']).toBe(reason);
      }
      expect(await h.owner.stagedPhoto.count()).toBe(0);
    },
  );

  it('nothing is left after the workers died in the middle and came back', async () => {
    await breakPartner(h, 'vizor', { endpoint: 'face-vectors', fault: 'error' });
    const { enrollmentId, traces } = await uploadAndLook(vizor);
    await h.stopWorkers();
    await mendEverything(h);
    await h.startWorkers();
    expect(await outcome(enrollmentId)).toBe('active');
    expect(await remains(traces)).toEqual([]);
  }, 120_000);

  it('nothing is left after a failure at a partner that is down for longer than the time limit', async () => {
    // A day has to pass: a harness of its own, with the server that skips time.
    await h.close();
    h = await createHarness();
    await breakPartner(h, 'vizor', { endpoint: 'face-vectors', fault: 'error' });
    const { enrollmentId, traces } = await uploadAndLook(vizor);
    const handle = h.temporal.client.workflow.getHandle(`enrollment/${enrollmentId}`);
    expect(await handle.result()).toEqual({ state: 'failed' });
    expect(await remains(traces)).toEqual([]);
    expect([await h.owner.stagedPhoto.count(), await h.owner.faceTemplate.count()]).toEqual([0, 0]);
  }, 120_000);
});

/** Mean difference of two pictures, 0 to 255: some for another compression, far more for a turned face. */
async function difference(a: Buffer, b: Buffer): Promise<number> {
  const [first, second] = await Promise.all(
    [a, b].map((bytes) => sharp(bytes).resize(64, 64, { fit: 'fill' }).removeAlpha().raw().toBuffer()),
  );
  if (!first || !second) return 255;
  return first.reduce((sum, value, index) => sum + Math.abs(value - (second[index] ?? 0)), 0) / first.length;
}

function everyFile(folder: string): Buffer {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Buffer.concat(files.map(({ parentPath, name }) => readFileSync(join(parentPath, name))));
}
