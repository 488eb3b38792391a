import type { Buffer } from 'node:buffer';
import type { PhotoRefusal } from '../contracts/enrollment';

/**
 * What workflows need of a partner, whichever profile it speaks. One gateway per partner; `createGateway` (gateway.ts)
 * builds it from the partner's row. Every call throws only {@link PartnerError} (failure.ts) or the abort reason.
 */

/** Comes with every call: the key that makes its effect single (R2.7), and what cancels it. */
export type PartnerCall = {
  /** Named after the business effect (`open/<openingId>`), never after an attempt. */
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
  /** Upper bound for this one attempt, milliseconds; the profile's own time-out applies when it is shorter. */
  readonly timeoutMs?: number;
};

export type AccessPointKind = 'door' | 'barrier';

export type OpenCommand = {
  readonly commandId: string;
  readonly deviceId: string;
  readonly kind: AccessPointKind;
  /** The partner must not open after this instant (ISO 8601, UTC). */
  readonly notAfter: string;
};

/** `opened`: the device confirmed. `expired`: the partner refused because the not-after time had passed. */
export type OpenReceipt = { readonly result: 'opened' | 'expired'; readonly at: string };

export interface DoorPartner {
  /** Opens once per command id, however often it is asked (R0.5, R1.8, R3.12). */
  open(command: OpenCommand, call: PartnerCall): Promise<OpenReceipt>;
}

/** Company custody (R1.2): the partner computes and forgets; only we keep the vector. */
export interface FaceExtractor {
  extract(photo: Buffer, call: PartnerCall): Promise<FaceExtraction>;
}
export type FaceExtraction =
  | { readonly ok: true; readonly vector: readonly number[]; readonly modelVersion: string }
  | { readonly ok: false; readonly refusal: PhotoRefusal };

/** Partner custody (R0.9, R3.14): the photo, the tokenised user id and the partner's house id leave, and no more. */
export interface FaceCustodian {
  enroll(face: FaceSubject & { readonly photo: Buffer }, call: PartnerCall): Promise<EnrollReceipt>;
  /** Where the enrollment stands; `unknown` when the partner holds nothing under this token. */
  enrollmentState(face: FaceSubject, call: PartnerCall): Promise<CustodianState>;
  /** Deletes and says so. Also right when nothing was held. `pending`: deletion is confirmed later (poll or webhook). */
  remove(face: FaceSubject, call: PartnerCall): Promise<{ readonly state: 'deleted' | 'pending' }>;
}
export type EnrollReceipt =
  { readonly state: 'accepted' } | { readonly state: 'rejected'; readonly refusal: PhotoRefusal };
export type FaceSubject = { readonly subjectToken: string; readonly partnerHouseId: string };
export type CustodianState =
  | { readonly state: 'processing' | 'active' | 'deleted' | 'unknown' }
  | { readonly state: 'rejected'; readonly refusal: PhotoRefusal };

/** Partners that recognise plates themselves (R3.13): the plate and the partner's house id leave, and no more. */
export interface PlateCustodian {
  allow(plate: PlateAtHouse, call: PartnerCall): Promise<void>;
  /** Also right when the plate was not held. */
  block(plate: PlateAtHouse, call: PartnerCall): Promise<void>;
  /** Whether the partner lets the plate pass, by its own word. */
  isAllowed(plate: PlateAtHouse, call: PartnerCall): Promise<boolean>;
}
export type PlateAtHouse = { readonly plate: string; readonly partnerHouseId: string };

export type Equipment = {
  readonly deviceId: string;
  readonly kind: AccessPointKind;
  readonly label: string;
  readonly online: boolean;
};
export interface EquipmentDirectory {
  /** The equipment at one served house, by the partner's own id of it (R3.11). */
  list(partnerHouseId: string, call: PartnerCall): Promise<readonly Equipment[]>;
}

/** Our secrets that can be replaced without a person: what only proves who we are. */
export const REPLACEABLE_SECRETS = ['basic-password', 'signing-key', 'client-secret', 'password', 'tls-key'] as const;
export type ReplaceableSecret = (typeof REPLACEABLE_SECRETS)[number];

/**
 * Successors of the credentials between us and a partner (R0.6, R4.4). Old and new are valid side by side until the old
 * one is retired, so that no call fails in between.
 */
export interface CredentialPartner {
  /**
   * Has the partner accept one more, under this id.
   *
   * @returns the value as it is shown from then on: of a certificate, with what the partner's authority made of it
   */
  add(
    credential: { readonly name: ReplaceableSecret; readonly id: string; readonly value: string },
    call: PartnerCall,
  ): Promise<string>;
  /** One harmless call with this value in place of the one in use. */
  check(
    credential: { readonly name: ReplaceableSecret; readonly value: string },
    call: PartnerCall,
  ): Promise<CredentialCheck>;
  /** Has the partner accept this one only. */
  retireOthers(
    credential: { readonly name: ReplaceableSecret; readonly keep: string },
    call: PartnerCall,
  ): Promise<void>;
  /** Gives the partner what it is to show us from now on. */
  handOver(value: string, call: PartnerCall): Promise<void>;
}
export type CredentialCheck = 'accepted' | 'refused';

/** Custody is a property of the partner; with this union the wrong call does not compile (R0.9, R1.2). */
export type Biometrics =
  | { readonly custody: 'company'; readonly extractor: FaceExtractor }
  | { readonly custody: 'partner'; readonly custodian: FaceCustodian };

export type PartnerGateway = {
  readonly partnerId: string;
  readonly doors: DoorPartner;
  readonly biometrics: Biometrics;
  /** `null`: this partner leaves plates to us (R1.9). */
  readonly plates: PlateCustodian | null;
  readonly equipment: EquipmentDirectory;
  readonly credentials: CredentialPartner;
  /** Closes connections. The gateway is not used afterwards. */
  close(): Promise<void>;
};
