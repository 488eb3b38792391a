import { createHash, randomUUID } from 'node:crypto';
import { Refusal, type Answer } from './answer';
import type { z } from 'zod';
import type {
  CredentialChange,
  CustodyRecord,
  HeldFace,
  LedgerEntry,
  OutgoingEvent,
  OwnCredential as OwnShape,
} from './custody';
import type { CustodyStore } from './custody-store';
import { faceFeatures, likeness, SAME_FACE } from './face-features';
import { samePlate } from './plate-text';
import { UnreadablePhoto, type PhotoReason } from './photo-quality';

/** Who asked what: `key` is the `Idempotency-Key`, `asked` everything the effect depends on. */
export type Asked = { readonly key: string; readonly asked: readonly unknown[] };

/** How faults bend an effect (sandbox/README.md). */
export type Bent = {
  /** The deletion is confirmed and does not happen; `secretly`: nor is it told when it is asked about. */
  readonly keep?: 'secretly' | 'openly';
  /** The deletion is answered as pending and ends by itself after so long. */
  readonly pendingMs?: number;
  readonly refusePhoto?: PhotoReason;
};

type OwnCredential = z.infer<typeof OwnShape>;
/** A credential of the company's, by its name for it. */
export type AddedCredential = Omit<Extract<CredentialChange, { change: 'add' }>, 'change'>;
/** Effects that are about no device, face or house. */
const NOTHING = { commandId: null, deviceId: null, subject: null, houseId: null } as const;

export type OpenOutcome = { readonly result: 'opened' | 'expired'; readonly at: string };
export type FaceStanding = { readonly state: HeldFace['state'] | 'unknown'; readonly reason: string | null };

export type Effects = ReturnType<typeof createEffects>;

/** What a partner does when asked, whichever profile it speaks. Every effect is written down before it is answered. */
export function createEffects(deps: {
  readonly store: CustodyStore;
  readonly now: () => Date;
  /** A webhook was written down and is due. */
  readonly announce: (eventId: string) => void;
}) {
  const { store } = deps;
  const timers = new Set<NodeJS.Timeout>();
  const at = () => deps.now().toISOString();
  const inMs = (ms: number) => new Date(deps.now().getTime() + ms).toISOString();

  /**
   * The rule of `Idempotency-Key`. `decide` runs without a pause between looking and writing, so two requests at once
   * make one effect; the answer waits for the disk.
   */
  async function once(
    { key, asked }: Asked,
    what: Pick<LedgerEntry, 'commandId' | 'deviceId' | 'subject' | 'houseId'>,
    decide: () => { kind: LedgerEntry['kind']; answer: Answer; records?: readonly CustodyRecord[] },
  ): Promise<Answer> {
    const fingerprint = createHash('sha256').update(JSON.stringify(asked)).digest('hex');
    const known = store.effect(key, what.commandId);
    if (known !== undefined) {
      if (known.fingerprint !== fingerprint) throw new Refusal(422, 'idempotency_key_reused');
      await store.commit([{ record: 'attempt', key: known.key }]);
      return { ...known.answer, headers: { 'idempotency-replayed': 'true' } };
    }
    const { kind, answer, records = [] } = decide();
    const { status, body } = answer;
    const entry = { key, kind, fingerprint, ...what, at: at(), attempts: 1, answer: { status, body } };
    await store.commit([{ record: 'effect', entry }, ...records]);
    setOff(records);
    return answer;
  }

  function event(kind: OutgoingEvent['kind'], body: Record<string, unknown>): CustodyRecord & { record: 'event' } {
    const eventId = randomUUID();
    const waiting = { state: 'waiting', attempts: 0, lastStatus: null } as const;
    return { record: 'event', event: { eventId, kind, body: { eventId, ...body }, ...waiting } };
  }

  async function committed(records: readonly CustodyRecord[]): Promise<void> {
    await store.commit(records);
    setOff(records);
  }

  /** What follows by itself from records that are on the disk. */
  function setOff(records: readonly CustodyRecord[]): void {
    for (const change of records) {
      if (change.record === 'event') deps.announce(change.event.eventId);
      if (change.record === 'face') arm(change.face);
    }
  }

  function ended(face: HeldFace, state: 'active' | 'rejected', reason: string | null): CustodyRecord[] {
    const { clientId, houseId } = face;
    const gone = state === 'rejected' ? { vector: null, photoSha256: null } : {};
    return [
      { record: 'face', face: { ...face, ...gone, state, reason, dueAt: null, since: at() } },
      event('enrollments', { clientId, houseId, state, ...(reason === null ? {} : { reason }), at: at() }),
    ];
  }

  function deleted(face: HeldFace): HeldFace {
    return {
      ...face,
      state: 'deleted',
      reason: null,
      photoSha256: null,
      vector: null,
      dueAt: null,
      since: at(),
      keptSecretly: false,
    };
  }

  function deletionEvent({ clientId, houseId }: Pick<HeldFace, 'clientId' | 'houseId'>): CustodyRecord {
    return event('deletions', { clientId, houseId, at: at() });
  }

  /** Ends by itself what was to end by itself, now or after a restart. */
  function arm({ clientId, houseId, dueAt }: HeldFace): void {
    if (dueAt === null) return;
    const timer = setTimeout(
      () => {
        timers.delete(timer);
        const face = store.face(clientId, houseId);
        if (face?.dueAt !== dueAt) return;
        void committed(
          face.state === 'processing'
            ? ended(face, 'active', null)
            : [{ record: 'face', face: deleted(face) }, deletionEvent(face)],
        ).catch(() => undefined);
      },
      Math.max(0, Date.parse(dueAt) - deps.now().getTime()),
    );
    timers.add(timer);
  }

  return {
    /** Opens once per command, and never after `notAfter`: the clock is read at the moment of the effect. */
    open(
      asked: Asked,
      command: { commandId: string; deviceId: string; notAfter: string },
      say: (outcome: OpenOutcome) => Answer,
    ): Promise<Answer> {
      const { commandId, deviceId } = command;
      return once(asked, { commandId, deviceId, subject: null, houseId: null }, () => {
        const inTime = deps.now().getTime() <= Date.parse(command.notAfter);
        return {
          kind: inTime ? 'open' : 'open-expired',
          answer: say({ result: inTime ? 'opened' : 'expired', at: at() }),
        };
      });
    },

    /** Takes a face into custody; it becomes active a little later. A photo that cannot be used has no effect. */
    async enroll(
      asked: Asked,
      face: { clientId: string; houseId: string; photo: Buffer },
      bent: Bent,
      say: () => Answer,
    ): Promise<Answer> {
      const { clientId, houseId } = face;
      const vector = await usableVector(face.photo, bent.refusePhoto);
      const photoSha256 = createHash('sha256').update(face.photo).digest('hex');
      const { processingMs, enrollment } = store.settings();
      const dueAt = enrollment === 'manual' ? null : inMs(processingMs);
      const processing = { state: 'processing', reason: null, dueAt, since: at(), keptSecretly: false } as const;
      const held: HeldFace = { clientId, houseId, photoSha256, vector: [...vector], ...processing };
      return once(asked, { commandId: null, deviceId: null, subject: clientId, houseId }, () => ({
        kind: 'face-enroll',
        answer: say(),
        records: [{ record: 'face', face: held }],
      }));
    },

    /** What the partner says of a face; of one it kept secretly it says that it is deleted. */
    faceStanding(clientId: string, houseId: string): FaceStanding {
      const face = store.face(clientId, houseId);
      if (face === undefined) return { state: 'unknown', reason: null };
      return face.keptSecretly ? { state: 'deleted', reason: null } : { state: face.state, reason: face.reason };
    },

    /** Deletes, at once or as faults have it. Right also when nothing was held. */
    deleteFace(
      asked: Asked,
      { clientId, houseId }: { clientId: string; houseId: string },
      bent: Bent,
      say: (outcome: { state: 'deleted'; at: string } | { state: 'pending' }) => Answer,
    ): Promise<Answer> {
      return once(asked, { commandId: null, deviceId: null, subject: clientId, houseId }, () => {
        const held = store.face(clientId, houseId);
        if (held !== undefined && bent.pendingMs !== undefined)
          return {
            kind: 'face-delete',
            answer: say({ state: 'pending' }),
            records: [
              { record: 'face', face: { ...held, state: 'deleting', dueAt: inMs(bent.pendingMs), since: at() } },
            ],
          };
        const after = (face: HeldFace): HeldFace =>
          bent.keep === undefined ? deleted(face) : { ...face, keptSecretly: bent.keep === 'secretly' };
        const gone: HeldFace[] = held === undefined ? [] : [after(held)];
        const told = store.settings().deletionWebhooks === 'always' ? [deletionEvent({ clientId, houseId })] : [];
        return {
          kind: 'face-delete',
          answer: say({ state: 'deleted', at: at() }),
          records: [...gone.map((face) => ({ record: 'face' as const, face })), ...told],
        };
      });
    },

    allowPlate(
      asked: Asked,
      { plate, houseId }: { plate: string; houseId: string },
      say: () => Answer,
    ): Promise<Answer> {
      return once(asked, { commandId: null, deviceId: null, subject: null, houseId }, () => ({
        kind: 'plate-allow',
        answer: say(),
        records: [{ record: 'plate', plate: { houseId, plate, held: true, keptSecretly: false } }],
      }));
    },

    /** Right also when the plate was not held. */
    blockPlate(
      asked: Asked,
      { plate, houseId }: { plate: string; houseId: string },
      bent: Bent,
      say: () => Answer,
    ): Promise<Answer> {
      return once(asked, { commandId: null, deviceId: null, subject: null, houseId }, () => {
        const held = bent.keep !== undefined && store.plates().some((each) => samePlace(each, { plate, houseId }));
        const keptSecretly = held && bent.keep === 'secretly';
        return {
          kind: 'plate-block',
          answer: say(),
          records: [{ record: 'plate', plate: { houseId, plate, held, keptSecretly } }],
        };
      });
    },

    /** What the partner says of a plate; one that it kept secretly it denies. */
    isPlateAllowed(plate: string, houseId: string): boolean {
      return store.plates().some((each) => samePlace(each, { plate, houseId }) && !each.keptSecretly);
    },

    /** Accepts one credential more of the company's; `id` is the company's own name for it, free until then. */
    addCredential(asked: Asked, added: AddedCredential, isFree: () => boolean, say: () => Answer): Promise<Answer> {
      return once(asked, NOTHING, () => {
        if (!isFree()) throw new Refusal(409, 'id_taken');
        const credential = { change: 'add', ...added } as const;
        return { kind: 'credential-add', answer: say(), records: [{ record: 'credential', credential }] };
      });
    },

    /** Accepts the credentials of these ids no longer. */
    retireCredentials(asked: Asked, ids: readonly string[], say: () => Answer): Promise<Answer> {
      return once(asked, NOTHING, () => ({
        kind: 'credential-retire',
        answer: say(),
        records: ids.map((id) => ({ record: 'credential' as const, credential: { change: 'retire' as const, id } })),
      }));
    },

    /** Takes what it is to show the company from now on. */
    takeOwnCredential(asked: Asked, own: OwnCredential, say: () => Answer): Promise<Answer> {
      return once(asked, NOTHING, () => ({
        kind: 'credential-own',
        answer: say(),
        records: [{ record: 'own-credential', own }],
      }));
    },

    /** Ends an enrollment from the control port; `undefined`: no such enrollment. */
    async endEnrollment(
      clientId: string,
      result: { houseId?: string; state: 'active' | 'rejected'; reason: string | null },
    ): Promise<HeldFace | undefined> {
      const face = store
        .faces()
        .find((each) => each.clientId === clientId && (result.houseId ?? each.houseId) === each.houseId);
      if (face === undefined || face.state === 'deleted' || face.state === 'deleting') return undefined;
      await committed(ended(face, result.state, result.reason));
      return store.face(clientId, face.houseId);
    },

    /** Writes a key or fob opening down and announces it; gives the event's id. */
    async report(kind: 'key-openings' | 'fob-openings', body: Record<string, unknown>): Promise<string> {
      const due = event(kind, body);
      await committed([due]);
      return due.event.eventId;
    },

    /** The client whose face this is, among those held for the house; `null`: nobody's. */
    async recognize(photo: Buffer, houseId: string): Promise<{ clientId: string } | PhotoReason | null> {
      const seen = await faceFeatures(photo);
      if (!seen.ok) return seen.reason;
      const best = store
        .faces()
        .filter((face) => face.houseId === houseId && (face.state === 'active' || face.keptSecretly))
        .map(({ clientId, vector }) => ({ clientId, likeness: likeness(seen.vector, vector ?? []) }))
        .reduce<{ clientId: string; likeness: number } | null>(
          (found, each) => (found !== null && found.likeness >= each.likeness ? found : each),
          null,
        );
      return best !== null && best.likeness >= SAME_FACE ? { clientId: best.clientId } : null;
    },

    /** A plate that the partner holds opens its own barrier: only the plate and the house ever came to it (R3.13). */
    async enterByPlate(deviceId: string, houseId: string, plate: string): Promise<LedgerEntry | undefined> {
      if (!store.plates().some((each) => each.houseId === houseId && samePlate(each.plate, plate))) return undefined;
      const key = `plate-entry/${randomUUID()}`;
      await once({ key, asked: [deviceId] }, { commandId: null, deviceId, subject: null, houseId }, () => ({
        kind: 'plate-entry',
        answer: { status: 200, body: null },
      }));
      return store.ledger.get(key);
    },

    /** Takes up what was under way when the process ended. */
    resume(): void {
      store.faces().forEach(arm);
      for (const { eventId, state } of store.events.values()) if (state === 'waiting') deps.announce(eventId);
    },

    stop(): void {
      timers.forEach(clearTimeout);
    },
  };
}

async function usableVector(photo: Buffer, refused: PhotoReason | undefined): Promise<readonly number[]> {
  try {
    const features = await faceFeatures(photo);
    if (refused !== undefined) throw new Refusal(422, 'photo', { reason: refused });
    if (!features.ok) throw new Refusal(422, 'photo', { reason: features.reason });
    return features.vector;
  } catch (error) {
    if (error instanceof UnreadablePhoto) throw new Refusal(400, 'photo_unreadable');
    throw error;
  }
}

function samePlace(a: { plate: string; houseId: string }, b: { plate: string; houseId: string }): boolean {
  return a.plate === b.plate && a.houseId === b.houseId;
}
