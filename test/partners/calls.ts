import { randomInt, randomUUID } from 'node:crypto';
import type { PartnerCallName } from '../../partners/data-set';
import type { PartnerCall, PartnerGateway } from '../../partners/ports';
import { FACE, type Adapter } from './town';

/** Everything that a call can pass, by the words of data-set agreements. */
export type Values = {
  readonly commandId: string;
  readonly deviceId: string;
  readonly notAfter: string;
  readonly photo: Buffer;
  readonly subjectToken: string;
  readonly partnerHouseId: string;
  readonly plate: string;
};

/** Nobody's and never used before, at the adapter's own house and door. */
export const newValues = ({ partner }: Adapter): Values => ({
  commandId: randomUUID(),
  deviceId: partner.doorDeviceId,
  notAfter: new Date(Date.now() + 60_000).toISOString(),
  photo: FACE,
  subjectToken: randomUUID(),
  partnerHouseId: partner.partnerHouseId,
  plate: `A${randomInt(100, 1_000).toString()}BC${randomInt(100, 1_000).toString()}`,
});

export const newCall = (more: Partial<PartnerCall> = {}): PartnerCall => ({
  idempotencyKey: `contract/${randomUUID()}`,
  signal: new AbortController().signal,
  ...more,
});

/** One call of the ports. */
export type CallCase = {
  readonly name: PartnerCallName;
  /** The sandbox's word for where it arrives. */
  readonly endpoint: string;
  /** The ledger's word for its effect; `null`: a question, which has none. */
  readonly effect: string | null;
  readonly make: (gateway: PartnerGateway, values: Values, call: PartnerCall) => Promise<unknown>;
  /** What is answered when nothing is wrong, for values that were never used before. */
  readonly answer: unknown;
};

const OPEN: CallCase = {
  name: 'open',
  endpoint: 'open',
  effect: 'open',
  make: (gateway, { commandId, deviceId, notAfter }, call) =>
    gateway.doors.open({ commandId, deviceId, kind: 'door', notAfter }, call),
  answer: { result: 'opened', at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown },
};

const LIST: CallCase = {
  name: 'list-equipment',
  endpoint: 'equipment',
  effect: null,
  make: (gateway, { partnerHouseId }, call) => gateway.equipment.list(partnerHouseId, call),
  answer: [expect.objectContaining({ kind: 'door' }), expect.objectContaining({ kind: 'barrier' })],
};

const EXTRACT: CallCase = {
  name: 'extract-face',
  endpoint: 'face-vectors',
  effect: null,
  make: (gateway, { photo }, call) => extractorOf(gateway).extract(photo, call),
  answer: expect.objectContaining({ ok: true }) as unknown,
};

const CUSTODY: readonly CallCase[] = [
  {
    name: 'enroll-face',
    endpoint: 'faces',
    effect: 'face-enroll',
    make: (gateway, { subjectToken, partnerHouseId, photo }, call) =>
      custodianOf(gateway).enroll({ subjectToken, partnerHouseId, photo }, call),
    answer: { state: 'accepted' },
  },
  {
    name: 'face-state',
    endpoint: 'face-state',
    effect: null,
    make: (gateway, { subjectToken, partnerHouseId }, call) =>
      custodianOf(gateway).enrollmentState({ subjectToken, partnerHouseId }, call),
    answer: { state: 'unknown' },
  },
  {
    name: 'remove-face',
    endpoint: 'face-deletions',
    effect: 'face-delete',
    make: (gateway, { subjectToken, partnerHouseId }, call) =>
      custodianOf(gateway).remove({ subjectToken, partnerHouseId }, call),
    answer: { state: 'deleted' },
  },
  {
    name: 'allow-plate',
    endpoint: 'plates',
    effect: 'plate-allow',
    make: (gateway, { plate, partnerHouseId }, call) => platesOf(gateway).allow({ plate, partnerHouseId }, call),
    answer: undefined,
  },
  {
    name: 'block-plate',
    endpoint: 'plates',
    effect: 'plate-block',
    make: (gateway, { plate, partnerHouseId }, call) => platesOf(gateway).block({ plate, partnerHouseId }, call),
    answer: undefined,
  },
  {
    name: 'plate-state',
    endpoint: 'plate-state',
    effect: null,
    make: (gateway, { plate, partnerHouseId }, call) => platesOf(gateway).isAllowed({ plate, partnerHouseId }, call),
    answer: false,
  },
];

/** Every call that the adapter has; custody decides. */
export const callsOf = ({ partner }: Adapter): readonly CallCase[] => [
  OPEN,
  ...(partner.custody === 'company' ? [EXTRACT] : CUSTODY),
  LIST,
];

export const openDoor = OPEN.make;
export const listEquipment = LIST.make;

export function extractorOf({ biometrics }: PartnerGateway) {
  if (biometrics.custody !== 'company') throw new Error('This partner keeps faces itself.');
  return biometrics.extractor;
}

export function custodianOf({ biometrics }: PartnerGateway) {
  if (biometrics.custody !== 'partner') throw new Error('This partner keeps no faces.');
  return biometrics.custodian;
}

export function platesOf({ plates }: PartnerGateway) {
  if (!plates) throw new Error('This partner leaves plates to us.');
  return plates;
}
