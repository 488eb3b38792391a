import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { z } from 'zod';
import type { Logger } from '../config/logger';
import { SignedDocumentView } from '../contracts/consent-receipt';
import {
  FOLLOW_UP_TAKES_MS,
  type ErasureBasis,
  type ErasureProof,
  type HoldReason,
  type ProlongReason,
} from '../contracts/erasure';
import { ErasureCertificate } from '../contracts/erasure-certificate';
import { ErasureView, type ProlongationNotice } from '../contracts/erasures';
import { deletionWorkflowId } from '../contracts/ids';
import { acceptErasure } from '../erasure/acceptance';
import type { Operator } from '../erasure/certificate';
import { warnAt, type ErasureClocks } from '../erasure/clocks';
import { journalErasure } from '../erasure/evidence';
import { holdErasure, prolongErasure, releaseErasure, viewOfErasure, type Refused } from '../erasure/hold';
import { prolongationNotice } from '../erasure/notice';
import { renderCertificate } from '../erasure/paper';
import type { Database, Transaction } from '../prisma/database';
import type { Erasure } from '../prisma/generated/client';
import { verifyDocument } from '../vault/document-signature';
import type { SubjectVault } from '../vault/subject-keys';
import { deletionChanged } from '../workflows/biometric-deletion/messages';
import { startErasure } from '../workflows/erasure/start';
import { HttpProblem, invalidField, notFound } from './problem';

/** What clocks of two systems may differ by. */
export const CLOCKS_DIFFER_MS = 60_000;

type Demand = {
  readonly erasureId: string;
  readonly residentId: string;
  readonly basis: ErasureBasis;
  readonly actor: string;
  readonly proof: ErasureProof;
};

export const OneErasure = z.object({ erasureId: z.uuid() });
type ReadsOne = { readonly params: z.infer<typeof OneErasure> };

/** No cache keeps a certificate. */
export const PRIVATE = { 'cache-control': 'private, no-store' };

export type ErasureDependencies = {
  readonly database: Database;
  readonly temporal: Client;
  readonly subjects: SubjectVault;
  readonly clocks: ErasureClocks;
  readonly operator: Operator;
  /** How old the identification of whoever asks in the app may be. */
  readonly proofMaxAgeMinutes: number;
  readonly log: Logger;
};

/**
 * Erasures as callers ask for them, whoever they are: residents through the app, compliance staff. Each answer stands
 * when it is given; an execution that could not be told is begun by the scheduled tidying (activities/housekeeping.ts).
 */
export function erasureDesk(deps: ErasureDependencies) {
  const { database, temporal, clocks, log } = deps;
  return {
    /** @throws HttpProblem 400 for a proof that is too old, 404 for an unknown resident */
    async request(demand: Demand): Promise<ErasureView> {
      // A repeat of the very demand is answered as it was, however late it comes.
      if ((await database.erasure.count({ where: { id: demand.erasureId } })) === 0) assertRecent(demand.proof);
      return accept((tx) => acceptErasure(tx, deps.subjects, { ...demand, clocks }));
    },
    accept,
    view,
    hold: (erasureId: string, hold: { reason: HoldReason; actor: string }): Promise<ErasureView> =>
      changed(erasureId, (tx) => holdErasure(tx, erasureId, hold)),
    release: async (erasureId: string, actor: string): Promise<ErasureView> => {
      const released = await changed(erasureId, (tx) => releaseErasure(tx, erasureId, actor));
      await hintDeletions(released.residentId);
      return released;
    },
    prolong: (erasureId: string, { reason, actor }: { reason: ProlongReason; actor: string }): Promise<ErasureView> =>
      changed(erasureId, (tx) => prolongErasure(tx, erasureId, { reason, actor, clocks })),
    /** @throws HttpProblem 404, also when it was not prolonged */
    async notice(erasureId: string): Promise<ProlongationNotice> {
      const row = await database.erasure.findUnique({ where: { id: erasureId } });
      const notice = row && prolongationNotice(row, deps.operator);
      if (!notice) throw notFound('erasureId');
      return notice;
    },
    tell,
    hintDeletions,
    certificate,
    /** The certificate on paper. @throws HttpProblem as {@link certificate} does */
    paper: async (erasureId: string): Promise<Buffer> => renderCertificate(certificateIn(await certificate(erasureId))),
    /** What is not certified, or whose holders do not answer when asked once more, by when it is due. */
    async queue(limit: number) {
      const rows = await database.erasure.findMany({
        where: {
          OR: [
            { state: { notIn: ['erased', 'closed'] } },
            { state: 'erased', followUpAt: { lt: new Date(Date.now() - FOLLOW_UP_TAKES_MS) } },
          ],
        },
        orderBy: [{ dueAt: 'asc' }, { id: 'asc' }],
        take: limit,
      });
      const now = new Date();
      return rows.map((row) => {
        const isDue = row.state !== 'erased';
        return {
          ...viewOfErasure(row),
          overdue: isDue && row.dueAt <= now,
          dueSoon: isDue && row.dueAt > now && warnAt(row.requestedAt, row.dueAt, clocks) <= now,
          followUpLate: !isDue,
        };
      });
    },
  };

  /** @param begin accepts the demand in its transaction; `null`: there is no such resident */
  async function accept(begin: (tx: Transaction) => Promise<Erasure | null>): Promise<ErasureView> {
    const row = await database.$transaction(begin);
    if (!row) throw notFound('residentId');
    if (row.state !== 'closed') await tell(row.id);
    return viewOfErasure(row);
  }

  /** The session of a phone that somebody left on a table is no proof of who holds it now. */
  function assertRecent({ identifiedAt }: ErasureProof): void {
    const ageMs = Date.now() - Date.parse(identifiedAt);
    if (ageMs < -CLOCKS_DIFFER_MS) throw invalidField('identification.at', 'lies ahead');
    const { proofMaxAgeMinutes } = deps;
    if (ageMs <= proofMaxAgeMinutes * 60_000) return;
    const field = 'identification.at';
    throw invalidField(field, `is more than ${proofMaxAgeMinutes.toString()} minutes ago: identify whoever asks anew`);
  }

  /** The newest certificate. @throws HttpProblem 404, or 409 while there is none */
  async function certificate(erasureId: string): Promise<unknown> {
    const row = await database.erasureCertificate.findFirst({ where: { erasureId }, orderBy: { version: 'desc' } });
    if (row) return row.document;
    await view(erasureId);
    throw conflict('Nothing is certified before every holder has confirmed and the search was clean');
  }

  async function view(erasureId: string): Promise<ErasureView> {
    const row = await database.erasure.findUnique({ where: { id: erasureId } });
    if (!row) throw notFound('erasureId');
    return viewOfErasure(row);
  }

  async function changed(
    erasureId: string,
    change: (tx: Transaction) => Promise<Refused | null>,
  ): Promise<ErasureView> {
    const refused = await database.$transaction(change);
    if (refused === 'unknown') throw notFound('erasureId');
    if (refused !== null) throw conflict(REFUSALS[refused]);
    await tell(erasureId);
    return view(erasureId);
  }

  /** Deletions that waited for a hold go on at once; one that is not told looks by itself within the hour. */
  async function hintDeletions(residentId: string): Promise<void> {
    const due = await database.biometricDeletion.findMany({ where: { residentId, state: 'deleting' } });
    for (const { id } of due) {
      await temporal.workflow
        .getHandle(deletionWorkflowId(id))
        .signal(deletionChanged)
        .catch(() => undefined);
    }
  }

  async function tell(erasureId: string): Promise<void> {
    await startErasure(temporal, erasureId).catch(() => {
      log.warn({ event: 'erasure-not-told', count: 1 }, 'an erasure waits to be resumed');
    });
  }
}

/** What whoever may know of an erasure reads of it, with what the caller needs to be left to say. */
export const erasureReads = (desk: ReturnType<typeof erasureDesk>) =>
  ({
    view: {
      method: 'get',
      path: '/erasures/{erasureId}',
      summary: 'How far an erasure is',
      params: OneErasure,
      responses: { 200: { description: 'The erasure', schema: ErasureView } },
      handle: async ({ params }: ReadsOne) => ({ status: 200, body: await desk.view(params.erasureId) }),
    },
    certificate: {
      method: 'get',
      path: '/erasures/{erasureId}/certificate',
      summary: 'The signed act of destruction, with the extract of the journal',
      params: OneErasure,
      responses: { 200: { description: 'The newest certificate', schema: SignedDocumentView } },
      handle: async ({ params }: ReadsOne) => ({
        status: 200,
        body: await desk.certificate(params.erasureId),
        headers: PRIVATE,
      }),
    },
    paper: {
      method: 'get',
      path: '/erasures/{erasureId}/certificate.pdf',
      summary: 'The act of destruction on paper, in Russian',
      params: OneErasure,
      responses: { 200: { description: 'The act', mediaType: 'application/pdf' } },
      handle: async ({ params }: ReadsOne) => ({
        status: 200,
        body: await desk.paper(params.erasureId),
        headers: PRIVATE,
      }),
    },
  }) as const;

/**
 * A partner names somebody who was erased there: it confirmed, and holds something still. The hash of the token is what
 * is left to know it by; the erasure is opened again.
 */
export async function noteErasedToken(
  { database, temporal }: Pick<ErasureDependencies, 'database' | 'temporal'>,
  partnerId: string,
  token: string,
): Promise<void> {
  const tokenSha256 = createHash('sha256').update(token.toLowerCase()).digest('hex');
  const holder = await database.erasureHolder.findFirst({ where: { partnerId, tokenSha256 } });
  if (!holder) return;
  const { erasureId, integration } = holder;
  const isNew = await database.$transaction(async (tx) => {
    const { count } = await tx.erasureHolder.updateMany({
      where: { partnerId, tokenSha256, foundAt: null, houseId: { not: null } },
      data: { foundAt: new Date(), token: token.toLowerCase() },
    });
    if (count === 0) return false;
    await tx.erasure.updateMany({
      where: { id: erasureId, state: { in: ['erased', 'closed'] } },
      data: { state: 'reopened', completedAt: null },
    });
    const entry = { actor: partnerId, integration, reason: partnerId };
    await journalErasure(tx, erasureId, { ...entry, outcome: 'found-at-holder' });
    return true;
  });
  // What is not told now is found by the scheduled tidying.
  if (isNew) await startErasure(temporal, erasureId).catch(() => undefined);
}

/** @throws when what is stored is not what was signed */
function certificateIn(document: unknown): ErasureCertificate {
  const check = verifyDocument(document);
  if (!check.ok) throw new Error(`The stored certificate is not valid: ${check.why}.`);
  return ErasureCertificate.parse(check.content);
}

const REFUSALS: Readonly<Record<Exclude<Refused, 'unknown'>, string>> = {
  'too-late': 'The erasure is not in a state that allows this any more',
  'resident-held': 'A hold on the resident is in force: release that first',
};

export const conflict = (title: string): HttpProblem =>
  new HttpProblem({ status: 409, type: 'erasure-state-conflict', title });
