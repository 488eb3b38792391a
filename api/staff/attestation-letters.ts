import { z } from 'zod';
import { ATTESTATION_MAX_DAYS } from '../../access/attestation';
import {
  AttestationAcceptance,
  AttestationLetterView,
  AttestationView,
  Signatory,
} from '../../contracts/attestation-letters';
import { appendJournal } from '../../journal/journal';
import type { Database, Transaction } from '../../prisma/database';
import type { SealedFiles } from '../../vault/sealed-files';
import { attestationOf } from '../attestation';
import { resourceIdFor } from '../idempotency';
import { defineOperation, PDF_MEDIA_TYPE, type Operation } from '../operation';
import { invalidField, notFound } from '../problem';
import { approvalConflict, approve, requestApproval, type TwoPeopleMatter } from './four-eyes';
import { memberOf, partnerWithin } from './member';
import { PartnerId } from './partners';

const LETTER_MAX_BYTES = 5_000_000;
const DAY_MS = 86_400_000;

const OneLetter = z.object({ partnerId: PartnerId, letterId: z.uuid() });
const Withdrawal = z
  .strictObject({ reason: z.enum(['found-false', 'partner-request', 'contract-ended']) })
  .meta({ id: 'AttestationWithdrawal' });
const LetterList = z
  .object({ attestation: AttestationView, letters: z.array(AttestationLetterView) })
  .meta({ id: 'AttestationLetterList' });
const SignedLetter = AttestationLetterView.extend({ signedBy: Signatory.nullable() }).meta({
  id: 'SignedAttestationLetter',
});
const PRIVATE = { 'cache-control': 'no-store' };

type LetterRow = Awaited<ReturnType<Database['attestationLetter']['findUniqueOrThrow']>>;
const matterOf = (objectId: string): TwoPeopleMatter => ({ kind: 'attestation-letter', objectId });

/**
 * The letter of a partner's head that its infrastructure and services were audited (R3.5). One member hands it in,
 * another reads it and says what it says; without one in force the partner loses biometrics (access/attestation.ts).
 */
export function attestationLetterOperations({
  database,
  files,
}: {
  database: Database;
  files: SealedFiles;
}): Operation[] {
  return [
    defineOperation({
      id: 'listAttestationLetters',
      method: 'get',
      path: '/partners/{partnerId}/attestation-letters',
      summary: 'Letters of a partner, and what its standing allows',
      permission: 'attestation-letters:read',
      params: z.object({ partnerId: PartnerId }),
      responses: { 200: { description: 'Letters, newest first', schema: LetterList } },
      async handle({ params: { partnerId }, caller }) {
        await partnerWithin(database, caller, partnerId);
        const { attestedUntil } = await database.partner.findUniqueOrThrow({ where: { id: partnerId } });
        const rows = await database.attestationLetter.findMany({
          where: { partnerId },
          orderBy: [{ uploadedAt: 'desc' }, { id: 'asc' }],
          take: 100,
        });
        const letters = await Promise.all(rows.map((row) => viewOf(database, row)));
        return { status: 200, body: { attestation: attestationOf(attestedUntil, Date.now()), letters } };
      },
    }),
    defineOperation({
      id: 'uploadAttestationLetter',
      method: 'post',
      path: '/partners/{partnerId}/attestation-letters',
      summary: 'Hand in a letter as PDF; somebody else has to read and accept it',
      permission: 'attestation-letters:upload',
      params: z.object({ partnerId: PartnerId }),
      body: { kind: 'pdf', maxBytes: LETTER_MAX_BYTES },
      idempotency: 'stored',
      responses: { 201: { description: 'Kept, sealed; nothing changes yet', schema: AttestationLetterView } },
      async handle({ params: { partnerId }, pdf, caller, idempotencyKey }) {
        if (!isPdf(pdf)) throw invalidField('body', 'is not a PDF');
        const id = resourceIdFor(caller.clientId, 'uploadAttestationLetter', idempotencyKey);
        const view = await database.$transaction(async (tx) => {
          const { integration } = await partnerWithin(tx, caller, partnerId);
          const { sha256 } = await files.put(tx, { id, mediaType: PDF_MEDIA_TYPE, content: pdf });
          const { count } = await tx.attestationLetter.createMany({
            data: [{ id, partnerId, fileId: id }],
            skipDuplicates: true,
          });
          await requestApproval(tx, matterOf(id), memberOf(caller).memberId);
          const entry = { integration, objectId: id, actor: caller.clientId, outcome: 'uploaded', reason: sha256 };
          if (count > 0) await appendJournal(tx, { kind: 'attestation-letter', ...entry });
          return viewOf(tx, await tx.attestationLetter.findUniqueOrThrow({ where: { id } }));
        });
        return { status: 201, body: view };
      },
    }),
    defineOperation({
      id: 'getAttestationLetter',
      method: 'get',
      path: '/partners/{partnerId}/attestation-letters/{letterId}',
      summary: 'A letter, with who signed it',
      permission: 'attestation-letters:read',
      params: OneLetter,
      responses: { 200: { description: 'The letter', schema: SignedLetter } },
      async handle({ params, caller }) {
        const row = await letterOf(database, caller, params);
        const signedBy = Signatory.nullable().parse(await files.detailsOf(database, row.fileId));
        return { status: 200, headers: PRIVATE, body: { ...(await viewOf(database, row)), signedBy } };
      },
    }),
    defineOperation({
      id: 'getAttestationLetterFile',
      method: 'get',
      path: '/partners/{partnerId}/attestation-letters/{letterId}/file',
      summary: 'The letter as it was handed in; who opens it is journalled',
      permission: 'attestation-letters:read',
      params: OneLetter,
      responses: { 200: { description: 'The file', mediaType: PDF_MEDIA_TYPE } },
      async handle({ params, caller }) {
        const { id, fileId, integration } = await letterOf(database, caller, params);
        const entry = { integration, objectId: id, actor: caller.clientId, outcome: 'opened' };
        await appendJournal(database, { kind: 'attestation-letter', ...entry });
        const headers = { ...PRIVATE, 'content-disposition': 'attachment; filename="attestation-letter.pdf"' };
        return { status: 200, headers, body: await files.read(database, fileId) };
      },
    }),
    defineOperation({
      id: 'acceptAttestationLetter',
      method: 'post',
      path: '/partners/{partnerId}/attestation-letters/{letterId}/acceptance',
      summary: 'Accept a letter that somebody else handed in; from now on it is the one in force',
      permission: 'attestation-letters:decide',
      stepUp: true,
      params: OneLetter,
      body: { kind: 'json', schema: AttestationAcceptance },
      idempotency: 'stored',
      responses: { 200: { description: 'In force', schema: AttestationLetterView } },
      async handle({ params, body, caller }) {
        const term = termOf(body, Date.now());
        const { memberId } = memberOf(caller);
        const view = await database.$transaction(async (tx) => {
          const letter = await letterOf(tx, caller, params);
          const file = await tx.sealedFile.findUniqueOrThrow({
            where: { id: letter.fileId },
            select: { sha256: true },
          });
          if (file.sha256 !== body.sha256) throw invalidField('sha256', 'is not that of the file that was handed in');
          const said = { ...term, signedBy: body.signedBy };
          return viewOf(tx, await putInForce(tx, files, letter, { ...said, memberId, actor: caller.clientId }));
        });
        return { status: 200, body: view };
      },
    }),
    defineOperation({
      id: 'withdrawAttestationLetter',
      method: 'post',
      path: '/partners/{partnerId}/attestation-letters/{letterId}/withdrawal',
      summary: 'A letter counts no longer; when it is the one in force, biometrics stop at once',
      permission: 'attestation-letters:decide',
      stepUp: true,
      params: OneLetter,
      body: { kind: 'json', schema: Withdrawal },
      idempotency: 'stored',
      responses: { 200: { description: 'Withdrawn, now or earlier', schema: AttestationLetterView } },
      async handle({ params, body, caller }) {
        const view = await database.$transaction(async (tx) => {
          await lockLetters(tx, params.partnerId);
          const letter = await letterOf(tx, caller, params);
          const { id, integration } = letter;
          if (letter.status === 'withdrawn') return viewOf(tx, letter);
          if (letter.status === 'in-force') {
            await tx.partner.updateMany({ where: { id: params.partnerId }, data: { attestedUntil: null } });
          }
          const row = await tx.attestationLetter.update({
            where: { id },
            data: { status: 'withdrawn', endedAt: new Date() },
          });
          const entry = {
            integration,
            objectId: id,
            actor: caller.clientId,
            outcome: 'withdrawn',
            reason: body.reason,
          };
          await appendJournal(tx, { kind: 'attestation-letter', ...entry });
          return viewOf(tx, row);
        });
        return { status: 200, body: view };
      },
    }),
  ];
}

type Accepted = ReturnType<typeof termOf> &
  Pick<AttestationAcceptance, 'signedBy'> & { memberId: string; actor: string };

/**
 * What was not accepted before becomes the partner's letter, in place of the one before. What was said of it then stays
 * as it was said.
 */
async function putInForce(
  tx: Transaction,
  files: SealedFiles,
  { id, partnerId, integration, fileId }: LetterRow & { integration: string },
  { signedOn, validUntil, signedBy, memberId, actor }: Accepted,
): Promise<LetterRow> {
  await lockLetters(tx, partnerId);
  const letter = await tx.attestationLetter.findUniqueOrThrow({ where: { id } });
  if ((await approve(tx, matterOf(id), memberId)) === 'already') return letter;
  if (letter.status !== 'uploaded') throw approvalConflict();
  await files.describe(tx, fileId, signedBy);
  const at = new Date();
  await tx.attestationLetter.updateMany({
    where: { partnerId, status: 'in-force' },
    data: { status: 'superseded', endedAt: at },
  });
  await tx.partner.updateMany({ where: { id: partnerId }, data: { attestedUntil: validUntil } });
  await appendJournal(tx, { kind: 'attestation-letter', integration, objectId: id, actor, outcome: 'in-force' });
  return tx.attestationLetter.update({
    where: { id },
    data: { status: 'in-force', signedOn, validUntil, inForceFrom: at },
  });
}

/** Decisions about letters of one partner take turns, so that one is in force. */
async function lockLetters(tx: Transaction, partnerId: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`attestation/${partnerId}`}, 0))`;
}

async function letterOf(
  database: Transaction,
  caller: Parameters<typeof partnerWithin>[1],
  { partnerId, letterId }: z.infer<typeof OneLetter>,
): Promise<LetterRow & { integration: string }> {
  const { integration } = await partnerWithin(database, caller, partnerId);
  const row = await database.attestationLetter.findUnique({ where: { id: letterId, partnerId } });
  if (!row) throw notFound('letterId');
  return { ...row, integration };
}

/** @throws HttpProblem when the letter is not signed yet, is over, or wants to hold for too long */
function termOf({ signedOn, validUntil }: AttestationAcceptance, nowMs: number): { signedOn: Date; validUntil: Date } {
  const from = new Date(`${signedOn}T00:00:00Z`);
  const until = new Date(Date.parse(`${validUntil}T00:00:00Z`) + DAY_MS);
  if (from.getTime() > nowMs + DAY_MS) throw invalidField('signedOn', 'lies in the future');
  if (until.getTime() <= nowMs) throw invalidField('validUntil', 'is over');
  if (until.getTime() - from.getTime() > ATTESTATION_MAX_DAYS * DAY_MS) {
    throw invalidField('validUntil', `is more than ${ATTESTATION_MAX_DAYS.toString()} days after signedOn`);
  }
  return { signedOn: from, validUntil: until };
}

/** By its first and last bytes (ISO 32000-1, 7.5): enough to turn away what was picked by mistake. */
const isPdf = (content: Buffer): boolean =>
  content.subarray(0, 5).toString('latin1') === '%PDF-' && content.subarray(-1_024).includes('%%EOF');

async function viewOf(database: Transaction, row: LetterRow): Promise<AttestationLetterView> {
  const approval = await database.approval.findUnique({
    where: { kind_objectId: { kind: matterOf(row.id).kind, objectId: row.id } },
  });
  const file = await database.sealedFile.findUniqueOrThrow({
    where: { id: row.fileId },
    select: { sha256: true, bytes: true },
  });
  return {
    letterId: row.id,
    partnerId: row.partnerId,
    status: row.status as AttestationLetterView['status'],
    ...file,
    uploadedBy: approval?.requestedBy ?? null,
    acceptedBy: approval?.approvedBy ?? null,
    uploadedAt: row.uploadedAt.toISOString(),
    signedOn: row.signedOn?.toISOString() ?? null,
    validUntil: row.validUntil?.toISOString() ?? null,
    inForceFrom: row.inForceFrom?.toISOString() ?? null,
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}
