import { createHash, randomUUID } from 'node:crypto';
import { log } from '@temporalio/activity';
import type { DeletionRequest } from '../contracts/deletions';
import {
  FOLLOW_UP_TAKES_MS,
  KEPT_FOR_ANOTHER,
  KEY_SHARE,
  type ErasureCallReason,
  type ErasureStanding,
  type SearchResult,
} from '../contracts/erasure';
import {
  consentWorkflowId,
  deletionWorkflowId,
  enrollmentWorkflowId,
  openAccessWorkflowId,
  vehicleAccessWorkflowId,
  type Integration,
} from '../contracts/ids';
import type { CallingSeverity } from '../contracts/security-alerts';
import { lockResident, stopEverything } from '../erasure/acceptance';
import { certificateOf, type Operator, type Responsible } from '../erasure/certificate';
import { CERTIFICATE_TYPE } from '../contracts/erasure-certificate';
import { warnAt, type ErasureClocks } from '../erasure/clocks';
import { followHolds, isHeld, locked, stateOf } from '../erasure/hold';
import { journalErasure } from '../erasure/evidence';
import type { ErasureLedger, LedgerDemand } from '../erasure/ledger';
import { forgetOldRights } from '../erasure/register';
import { gatherIdentifiers, identifiersOf, rememberedIdentifiers, rememberIdentifiers } from '../erasure/identifiers';
import { searchStores, withExecutions, withKeyStore, type Identifiers, type NamingExecutions } from '../erasure/search';
import { callOnce, raiseCall } from '../journal/alerts';
import type { Database, Transaction } from '../prisma/database';
import type { Erasure, Prisma } from '../prisma/generated/client';
import { deletionRequestOf } from '../vault/biometrics';
import { signDocument, type DocumentSigner } from '../vault/document-signature';
import type { KeyEncryption } from '../vault/key-encryption';
import type { KeyStore } from '../vault/key-store';
import { wholeUntil, type SubjectVault } from '../vault/subject-keys';

export type ErasureActivities = ReturnType<typeof createErasureActivities>;

/** What erasure asks of Temporal. */
export type ErasureExecutions = {
  /** Begins the execution of a deletion, or finds it at work. */
  startDeletion(request: DeletionRequest, integration: Integration): Promise<void>;
  /** Has the execution of a deletion look again; none has nothing to be told. */
  hintDeletion(deletionId: string): Promise<void>;
  tellVehicle(vehicleId: string, partners: readonly { partnerId: string; integration: string }[]): Promise<void>;
  isRunning(workflowId: string): Promise<boolean>;
  /** Tells a consent's execution that the consent was withdrawn. */
  endConsent(workflowId: string): Promise<void>;
  /** Deletes what has ended under these ids, histories included. @returns how many were still there */
  remove(workflowIds: readonly string[]): Promise<number>;
  /** Looks for the needles in what is listed of every execution and in histories, opened. @returns who names one */
  naming(needles: readonly string[]): Promise<NamingExecutions>;
};

type ErasureCall = {
  readonly level: number;
  readonly reason: ErasureCallReason;
  readonly raisedAt: string;
  /** Which end of the law's time it is about; executions from before do not say. */
  readonly dueAt?: string;
};

const SEVERITY = {
  'due-soon': 'medium',
  overdue: 'high',
  'follow-up-unanswered': 'medium',
  'found-at-holder': 'high',
} as const satisfies Record<ErasureCallReason, CallingSeverity>;
const ACTOR = 'erasure-process';
const PROCESS = 'erasure';
const FOUND = 'found-at-holder' satisfies ErasureCallReason;
const IN_FLIGHT = ['requested', 'processing'];
/** An opening that has not ended this long after its time has nobody who would end it. */
const OPENING_IS_DEAD_MS = 60_000;
const IDS_AT_ONCE = 50;

/** Effects of an erasure that belong to no integration, run by `core`. Each may be repeated. */
export function createErasureActivities(deps: {
  database: Database;
  signer: DocumentSigner;
  operator: Operator;
  responsible: Responsible;
  /** After how many days a backup is destroyed, as the act says: of the database, and of the key store (0: there is none). */
  backupDays: number;
  keyStoreBackupDays: number;
  clocks: Pick<ErasureClocks, 'warnDays'>;
  executions: ErasureExecutions;
  ledger: ErasureLedger;
  subjects: SubjectVault;
  keyStore: Pick<KeyStore, 'share' | 'destroyShare'>;
  /** Folders of files that are searched, such as logs. */
  searchedFolders: readonly string[];
  /** Opens logs that rest encrypted. */
  keyEncryption: KeyEncryption;
  followUpMs: number;
}) {
  const { database, executions } = deps;
  const standing = (row: Erasure): ErasureStanding => standingOf(row, deps.clocks);

  return {
    /** How far it is. Stops what came in meanwhile, and sees to it that whoever has to do something was told. */
    async surveyErasure(erasureId: string): Promise<ErasureStanding> {
      const row = await database.erasure.findUniqueOrThrow({ where: { id: erasureId } });
      const state = stateOf(row);
      const known = standing(row);
      if (state === 'closed') return known;
      if (state === 'erased' || state === 'reopened') {
        const holders = await database.erasureHolder.findMany({ where: { erasureId, token: { not: null } } });
        const isReopened = state === 'reopened' || holders.some(({ foundAt }) => foundAt !== null);
        if (isReopened && state === 'erased') await reopen(erasureId);
        if (holders.some(({ foundAt }) => foundAt !== null)) await callAboutFound(erasureId);
        return {
          ...known,
          state: isReopened ? 'reopened' : 'erased',
          holders: holders.map(({ id, integration, foundAt }) => ({
            holderId: id,
            integration,
            isFound: foundAt !== null,
          })),
        };
      }
      const { residentId } = row;
      // Before anything is destroyed: a demand that waits is not lost with the rows that a restored backup lacks.
      deps.ledger.enter(residentId, ledgerDemandOf(row));
      const followed = await database.$transaction(async (tx) => {
        await lockResident(tx, residentId);
        const found = (await locked(tx, erasureId)) ?? row;
        await rememberIdentifiers(tx, found);
        const after = await followHolds(tx, found, ACTOR);
        await stopEverything(tx, deps.subjects, { residentId, actor: ACTOR });
        return after;
      });
      deps.ledger.enter(residentId, ledgerDemandOf(followed));
      if (followed.holdReason !== null) {
        // Access ends where partners go by their own lists, too; nothing is destroyed by it (docs/adr/0076).
        await tellVehicles(await openVehicles(residentId));
        return { ...known, state: 'held' };
      }
      if (row.holdReason !== null) await hintDeletions(residentId);
      return { ...known, pending: await pendingOf(residentId) };
    },

    /** What the row says, and nothing else: for when it cannot be found out how far it is. */
    async readErasure(erasureId: string): Promise<ErasureStanding> {
      const row = await database.erasure.findUniqueOrThrow({ where: { id: erasureId } });
      return { ...standing(row), state: row.holdReason === null ? stateOf(row) : 'held' };
    },

    /** @returns how many executions of the person were still there: it has to be asked again until there are none */
    async removeExecutions(erasureId: string): Promise<number> {
      const { residentId } = await database.erasure.findUniqueOrThrow({ where: { id: erasureId } });
      return remove(await executionsOf(residentId));
    },

    async enterLedger(erasureId: string): Promise<void> {
      const row = await database.erasure.findUniqueOrThrow({ where: { id: erasureId } });
      deps.ledger.enter(row.residentId, ledgerDemandOf(row));
    },

    /**
     * Deletes our own rows and our half of the key, in one transaction: what is sealed, in the journal too, is dark from
     * then on. Then the other half, in the key store: so are backups of before (docs/adr/0090). Whoever dies between
     * finds the rows gone the next time, and the half there.
     *
     * @returns `false` when it was paused, or something came up that has to be waited for
     */
    async eraseRows(erasureId: string): Promise<boolean> {
      const isErased = await database.$transaction((tx) => eraseRows(tx, erasureId), { timeout: 60_000 });
      if (isErased) await destroyShare(erasureId);
      return isErased;
    },

    async searchEverywhere(erasureId: string): Promise<SearchResult> {
      const row = await database.erasure.findUniqueOrThrow({ where: { id: erasureId } });
      const identifiers = identifiersOf(row) ?? (await rememberedIdentifiers(database, row));
      const searched = await searchStores(database, identifiers, deps.searchedFolders, deps.keyEncryption);
      const stores = withKeyStore(searched, await hasShare(row));
      const named = await executions.naming([identifiers.residentId, ...identifiers.tokens, ...identifiers.plates]);
      // One that no row leads to any more: what has ended of it goes, and the next search says so.
      await remove([...new Set([...named.visibility, ...named.histories])]);
      const result = withExecutions(stores, named);
      await database.$transaction(async (tx) => {
        await tx.erasure.update({ where: { id: erasureId }, data: { search: result } });
        const outcome = result.found.length === 0 ? 'search-clean' : 'search-found';
        const last = await tx.journalEntry.findFirst({
          where: { kind: 'erasure', objectId: erasureId },
          orderBy: { seq: 'desc' },
        });
        if (last?.outcome !== outcome) await journalErasure(tx, erasureId, { actor: ACTOR, outcome });
      });
      if (result.found.length > 0) {
        log.error('identifiers of an erased person are left', { event: 'erasure-left', count: result.found.length });
      }
      return result;
    },

    /** Signs what was done. Only after a clean search, and once for each time it was reopened. */
    async certifyErasure(erasureId: string): Promise<void> {
      await database.$transaction(async (tx) => {
        const row = await locked(tx, erasureId);
        if (!row || (row.state !== 'erasing' && row.state !== 'reopened')) return;
        const version = (await tx.erasureCertificate.count({ where: { erasureId } })) + 1;
        const now = new Date();
        await journalErasure(tx, erasureId, { actor: ACTOR, outcome: 'certified', reason: version.toString() });
        const { operator, responsible, backupDays, keyStoreBackupDays } = deps;
        const terms = { backupDays, keyStoreBackupDays };
        const said = { erasureId, operator, responsible, ...terms, version, issuedAt: now };
        const content = await certificateOf(tx, said);
        const document = signDocument(deps.signer, CERTIFICATE_TYPE, content);
        await tx.erasureCertificate.create({ data: { id: randomUUID(), erasureId, version, document, issuedAt: now } });
        await tx.erasure.update({
          where: { id: erasureId },
          data: {
            state: 'erased',
            completedAt: now,
            identifiers: {},
            followUpAt: new Date(now.getTime() + deps.followUpMs),
          },
        });
        // That a holder's word was not true waits for a person until it was asked once more.
        await resolveCalls(tx, erasureId, now, { reason: { not: FOUND } });
      });
      await keepOutside(erasureId);
    },

    /**
     * Holders were asked once more and hold nothing: the tokens by which they were asked go as well. The key store is
     * asked, too: a half that is back there, as from a backup, opens the erasure again.
     */
    async closeErasure(erasureId: string): Promise<void> {
      if (await hasShare(await database.erasure.findUniqueOrThrow({ where: { id: erasureId } }))) {
        await reopen(erasureId, 'key-share-is-back');
        log.error('the key store has a share of an erased person again', { event: 'erasure-left', count: 1 });
        return;
      }
      await database.$transaction(async (tx) => {
        const row = await locked(tx, erasureId);
        if (row?.state !== 'erased') return;
        if ((await tx.erasureHolder.count({ where: { erasureId, foundAt: { not: null } } })) > 0) return;
        await tx.erasureHolder.updateMany({ where: { erasureId }, data: { token: null } });
        const now = new Date();
        await tx.erasure.update({ where: { id: erasureId }, data: { state: 'closed', checkedAt: now } });
        await resolveCalls(tx, erasureId, now);
        await journalErasure(tx, erasureId, { actor: ACTOR, outcome: 'closed' });
      });
    },

    /**
     * Calls a person, once for each level of each end of the law's time, and about holders that do not answer once for
     * each certificate and level.
     */
    async escalateErasure(erasureId: string, call: ErasureCall): Promise<void> {
      const { level, reason, raisedAt } = call;
      await callPerson(erasureId, {
        objectId: (tx) =>
          reason === 'follow-up-unanswered' ? versionOf(tx, erasureId, 'follow-up') : deadlineOf(tx, erasureId, call),
        ...{ reason, level, raisedAt },
      });
    },
  };

  /** A holder had something although it had confirmed: a person is called at once, not when the law's time is over. */
  function callAboutFound(erasureId: string): Promise<void> {
    const objectId = (tx: Transaction) => versionOf(tx, erasureId, 'found');
    return callPerson(erasureId, { objectId, reason: FOUND, level: 1, raisedAt: new Date().toISOString() });
  }

  /** Once for each object and level. The security desk is told as of an alert, until somebody has looked. */
  async function callPerson(
    erasureId: string,
    call: {
      objectId: (tx: Transaction) => string | Promise<string>;
      reason: ErasureCallReason;
      level: number;
      raisedAt: string;
    },
  ): Promise<void> {
    const { reason, level, raisedAt } = call;
    const isNew = await database.$transaction(async (tx) => {
      const about = { process: PROCESS, objectId: await call.objectId(tx), reason, level, integration: null };
      if (!(await callOnce(tx, { ...about, raisedAt }))) return false;
      await journalErasure(tx, erasureId, { actor: ACTOR, outcome: 'escalated', reason });
      await raiseCall(tx, { ...about, severity: SEVERITY[reason] });
      return true;
    });
    if (isNew) log.error('an erasure is not over', { event: 'escalated', code: reason, count: level });
  }

  async function remove(workflowIds: readonly string[]): Promise<number> {
    let left = 0;
    for (let at = 0; at < workflowIds.length; at += IDS_AT_ONCE) {
      left += await executions.remove(workflowIds.slice(at, at + IDS_AT_ONCE));
    }
    return left;
  }

  /** Beside the database, so that a backup which is restored has lost nothing of it. Also when it was done before. */
  async function keepOutside(erasureId: string): Promise<void> {
    const row = await database.erasure.findUniqueOrThrow({ where: { id: erasureId }, include: { certificates: true } });
    for (const { version, issuedAt, document } of row.certificates) {
      const act = { erasureId, version, issuedAt: issuedAt.toISOString() };
      deps.ledger.keep({ ...act, document: document as Record<string, unknown> });
    }
    deps.ledger.enter(row.residentId, ledgerDemandOf(row));
  }

  async function hasShare({ residentId }: Erasure): Promise<boolean> {
    return (await deps.keyStore.share(residentId)) !== null;
  }

  /** Also when it was done before; written down once, and each time that there was something. */
  async function destroyShare(erasureId: string): Promise<void> {
    const erased = await database.erasure.findUniqueOrThrow({ where: { id: erasureId } });
    const { residentId } = erased;
    // What comes back with a backup from now on is dark: the ledger says first that every holder had let go (erasure/again.ts).
    deps.ledger.enter(residentId, ledgerDemandOf(erased));
    const isThere = await deps.keyStore.destroyShare(residentId);
    await database.$transaction(async (tx) => {
      const row = await locked(tx, erasureId);
      if (!row || (row.shareDestroyedAt !== null && !isThere)) return;
      await tx.erasure.update({ where: { id: erasureId }, data: { shareDestroyedAt: new Date() } });
      if (!isThere && isErasedWhole(row)) return;
      await journalErasure(tx, erasureId, { actor: ACTOR, outcome: 'destroyed', reason: KEY_SHARE });
    });
  }

  async function reopen(erasureId: string, reason?: string): Promise<void> {
    await database.$transaction(async (tx) => {
      const { count } = await tx.erasure.updateMany({
        where: { id: erasureId, state: { in: ['erased', 'closed'] } },
        data: { state: 'reopened', completedAt: null },
      });
      if (count === 0) return;
      await journalErasure(tx, erasureId, {
        actor: ACTOR,
        outcome: 'reopened',
        ...(reason !== undefined && { reason }),
      });
    });
  }

  /** Who has not let go yet. Whoever has to be told is told. */
  async function pendingOf(residentId: string): Promise<string[]> {
    const [deletions, vehicles, consents, enrollments, openings] = await Promise.all([
      database.biometricDeletion.findMany({ where: { residentId, state: 'deleting' } }),
      openVehicles(residentId),
      database.consent.findMany({ where: { residentId }, select: { id: true } }),
      database.enrollment.findMany({ where: { residentId, state: { in: IN_FLIGHT } }, select: { id: true } }),
      database.opening.findMany({
        where: { residentId, endedAt: null, notAfter: { gt: new Date(Date.now() - OPENING_IS_DEAD_MS) } },
        select: { id: true },
      }),
    ]);
    for (const row of deletions) await executions.startDeletion(deletionRequestOf(row), row.integration as Integration);
    await tellVehicles(vehicles);
    const running: string[] = [];
    for (const workflowId of consents.map(({ id }) => consentWorkflowId(id))) {
      if (!(await executions.isRunning(workflowId))) continue;
      await executions.endConsent(workflowId);
      running.push(workflowId);
    }
    return [
      ...deletions.map(({ id }) => deletionWorkflowId(id)),
      ...vehicles.flatMap(({ id, partners }) =>
        partners.map(({ partnerId }) => vehicleAccessWorkflowId(id, partnerId)),
      ),
      ...running,
      ...enrollments.map(({ id }) => enrollmentWorkflowId(id)),
      ...openings.map(({ id }) => openAccessWorkflowId(id)),
    ];
  }

  /** A hold has ended by its time: what waited for it goes on now. */
  async function hintDeletions(residentId: string): Promise<void> {
    const due = await database.biometricDeletion.findMany({ where: { residentId, state: 'deleting' } });
    for (const { id } of due) await executions.hintDeletion(id);
  }

  function openVehicles(residentId: string) {
    return database.vehicle.findMany({
      where: { residentId, partners: { some: { state: 'open' } } },
      include: { partners: { where: { state: 'open' } } },
    });
  }

  async function tellVehicles(vehicles: Awaited<ReturnType<typeof openVehicles>>): Promise<void> {
    for (const { id, partners } of vehicles) await executions.tellVehicle(id, partners);
  }

  async function executionsOf(residentId: string): Promise<string[]> {
    const where = { where: { residentId }, select: { id: true } } as const;
    const [consents, enrollments, deletions, openings, vehicles] = await Promise.all([
      database.consent.findMany(where),
      database.enrollment.findMany(where),
      database.biometricDeletion.findMany(where),
      database.opening.findMany(where),
      database.vehiclePartner.findMany({ where: { vehicle: { residentId } } }),
    ]);
    return [
      ...consents.map(({ id }) => consentWorkflowId(id)),
      ...enrollments.map(({ id }) => enrollmentWorkflowId(id)),
      ...deletions.map(({ id }) => deletionWorkflowId(id)),
      ...openings.map(({ id }) => openAccessWorkflowId(id)),
      ...vehicles.map(({ vehicleId, partnerId }) => vehicleAccessWorkflowId(vehicleId, partnerId)),
    ];
  }
}

/** An end of the law's time that was put off has calls of its own. */
async function deadlineOf(tx: Transaction, erasureId: string, { dueAt }: ErasureCall): Promise<string> {
  const row = await tx.erasure.findUniqueOrThrow({ where: { id: erasureId } });
  const isLater = row.prolongedAt !== null && dueAt === row.dueAt.toISOString();
  return isLater ? `${erasureId}/prolonged` : erasureId;
}

/** What a person is called about that holders did, or did not, after this certificate. */
async function versionOf(tx: Transaction, erasureId: string, about: 'follow-up' | 'found'): Promise<string> {
  const version = await tx.erasureCertificate.count({ where: { erasureId } });
  return `${erasureId}/${about}-${version.toString()}`;
}

/** Nobody has to see to it any more. */
async function resolveCalls(
  tx: Transaction,
  erasureId: string,
  resolvedAt: Date,
  which: Prisma.EscalationWhereInput = {},
): Promise<void> {
  await tx.escalation.updateMany({
    where: {
      ...which,
      process: PROCESS,
      resolvedAt: null,
      OR: [{ objectId: erasureId }, { objectId: { startsWith: `${erasureId}/` } }],
    },
    data: { resolvedAt },
  });
}

/** Its key had not been split yet: there was no other half. */
const isErasedWhole = ({ wholeKeyUntil, erasedAt }: Erasure): boolean =>
  wholeKeyUntil !== null && erasedAt !== null && wholeKeyUntil >= erasedAt;

const standingOf = (row: Erasure, clocks: Pick<ErasureClocks, 'warnDays'>): ErasureStanding => ({
  state: stateOf(row),
  warnAt: warnAt(row.requestedAt, row.dueAt, clocks).toISOString(),
  dueAt: row.dueAt.toISOString(),
  pending: [],
  followUpAt: row.followUpAt?.toISOString() ?? null,
  followUpLateAt: row.followUpAt && new Date(row.followUpAt.getTime() + FOLLOW_UP_TAKES_MS).toISOString(),
  holders: [],
});

const ledgerDemandOf = (row: Erasure): LedgerDemand => ({
  erasureId: row.id,
  basis: row.basis as LedgerDemand['basis'],
  requestedAt: row.requestedAt.toISOString(),
  dueAt: row.dueAt.toISOString(),
  holdReason: row.holdReason as LedgerDemand['holdReason'],
  erasedAt: row.erasedAt?.toISOString() ?? null,
});

async function eraseRows(tx: Transaction, erasureId: string): Promise<boolean> {
  const { residentId } = await tx.erasure.findUniqueOrThrow({ where: { id: erasureId } });
  await lockResident(tx, residentId);
  const row = await locked(tx, erasureId);
  if (!row || row.holdReason !== null) return false;
  if (await isHeld(tx, residentId)) return false;
  const [deleting, open, inFlight] = await Promise.all([
    tx.biometricDeletion.count({ where: { residentId, state: 'deleting' } }),
    tx.vehiclePartner.count({ where: { vehicle: { residentId }, state: 'open' } }),
    tx.enrollment.count({ where: { residentId, state: { in: IN_FLIGHT } } }),
  ]);
  if (deleting + open + inFlight > 0) return false;
  const identifiers = await gatherIdentifiers(tx, row);
  await rememberHolders(tx, row);
  // Faces went before, each with its own confirmation (activities/biometric-deletion.ts).
  const biometrics = await tx.biometricDeletion.count({ where: { residentId, state: 'deleted' } });
  const now = new Date();
  const key = await tx.subjectKey.findUnique({ where: { residentId } });
  const wholeKeyUntil = later(row.wholeKeyUntil, key && wholeUntil(key, now));
  const counts = { biometrics, ...(await deleteRows(tx, residentId, identifiers)) };
  for (const [category, count] of Object.entries(counts)) {
    if (count > 0) await journalErasure(tx, erasureId, { actor: ACTOR, outcome: 'destroyed', reason: category });
  }
  const state = row.state === 'waiting' ? 'erasing' : row.state;
  await tx.erasure.update({
    where: { id: erasureId },
    data: { state, identifiers, wholeKeyUntil, erasedAt: row.erasedAt ?? now },
  });
  return true;
}

const later = (one: Date | null, other: Date | null): Date | null =>
  one === null || (other !== null && other > one) ? other : one;

type NewHolder = Prisma.ErasureHolderCreateManyInput;

/** For the act, and to ask them once more. */
async function rememberHolders(tx: Transaction, { id: erasureId, residentId }: Erasure): Promise<void> {
  const [subjects, enrollments, deletions, vehicles, rights] = await Promise.all([
    tx.partnerSubject.findMany({ where: { residentId }, include: { partner: { include: { houses: true } } } }),
    tx.enrollment.findMany({ where: { residentId } }),
    tx.biometricDeletion.findMany({ where: { residentId, state: 'deleted' }, orderBy: { deletedAt: 'asc' } }),
    tx.vehiclePartner.findMany({ where: { vehicle: { residentId } } }),
    tx.propertyRight.findMany({ where: { residentId }, include: { property: true } }),
  ]);
  const ownHouses = new Set(rights.map(({ property }) => property.houseId));
  const confirmedAt = (partnerId: string): Date | null =>
    deletions.findLast((deletion) => deletion.partnerId === partnerId)?.deletedAt ?? null;
  const faces = subjects.flatMap(({ partnerId, integration, token, partner }): NewHolder[] => {
    const base = { erasureId, partnerId, integration, kind: 'face', tokenSha256: sha256(token) };
    // We held these ourselves: nobody was asked, and nobody confirmed.
    if (partner.custody === 'company') return [{ id: randomUUID(), ...base, standing: 'held-by-operator' }];
    const houseIds = new Set([
      ...enrollments.filter((each) => each.partnerId === partnerId).map(({ houseId }) => houseId),
      ...partner.houses.map(({ houseId }) => houseId).filter((houseId) => ownHouses.has(houseId)),
    ]);
    const asked = { ...base, token, confirmedAt: confirmedAt(partnerId) };
    return [...houseIds].map((houseId) => ({ id: randomUUID(), ...asked, houseId }));
  });
  const plates = vehicles.map(({ partnerId, integration, closedAt, keptForAnother }): NewHolder => {
    // One that let go before the day was written down has let go by now at the latest.
    const said = keptForAnother ? { standing: KEPT_FOR_ANOTHER } : { confirmedAt: closedAt ?? new Date() };
    return { ...{ id: randomUUID(), erasureId, partnerId, integration, kind: 'plate' }, ...said };
  });
  const holders = [...faces, ...plates];
  await tx.erasureHolder.createMany({ data: holders });
  for (const { partnerId, integration, standing } of holders) {
    if (standing === 'held-by-operator') continue;
    await journalErasure(tx, erasureId, {
      actor: ACTOR,
      outcome: standing === KEPT_FOR_ANOTHER ? KEPT_FOR_ANOTHER : 'confirmed-by-holder',
      reason: partnerId,
      integration,
    });
  }
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Everything that is about the person, in the order that keys between tables ask for. @returns how many, by category */
async function deleteRows(tx: Transaction, residentId: string, identifiers: Identifiers) {
  const where = { where: { residentId } } as const;
  const openings = await tx.opening.updateMany({ ...where, data: { residentId: null } });
  await tx.reminder.deleteMany(where);
  await tx.journalExport.deleteMany(where);
  await tx.erasureDemand.deleteMany(where);
  await tx.residentHold.deleteMany(where);
  const sessions = await tx.pluginSession.deleteMany(where);
  await tx.identityToken.deleteMany(where);
  await tx.stagedPhoto.deleteMany({ where: { enrollment: { residentId } } });
  await tx.faceTemplate.deleteMany(where);
  await tx.enrollment.deleteMany(where);
  const consents = await tx.consent.deleteMany(where);
  await tx.propertySaleDeletion.deleteMany({ where: { deletion: { residentId } } });
  await tx.biometricDeletion.deleteMany(where);
  await tx.vehiclePartner.deleteMany({ where: { vehicle: { residentId } } });
  const vehicles = await tx.vehicle.deleteMany(where);
  const tokens = await tx.partnerSubject.deleteMany(where);
  const profiles = await tx.$executeRaw`DELETE FROM resident_profiles WHERE resident_id = ${residentId}::uuid`;
  const keys = await tx.subjectKey.deleteMany(where);
  await forgetOldRights(tx, residentId);
  const patterns = [identifiers.residentId, ...identifiers.tokens].map((identifier) => `%${identifier}%`);
  await tx.$executeRaw`DELETE FROM idempotency_records WHERE lower(body) LIKE ANY (${patterns}::text[])`;
  await tx.$executeRaw`DELETE FROM oidc_payloads WHERE lower(payload::text) LIKE ANY (${patterns}::text[])`;
  await tx.$executeRaw`DELETE FROM rate_limits WHERE lower(key) LIKE ANY (${patterns}::text[])`;
  return {
    profile: profiles,
    consents: consents.count,
    vehicles: vehicles.count,
    'partner-ids': tokens.count,
    'plugin-sessions': sessions.count,
    'openings-unlinked': openings.count,
    'encryption-key': keys.count,
  };
}
