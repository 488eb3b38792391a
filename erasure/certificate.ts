import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { KEY_SHARE } from '../contracts/erasure';
import {
  CERTIFICATE_SCHEMA,
  ErasureCertificate,
  HOLDER_STANDINGS,
  type HolderStanding,
} from '../contracts/erasure-certificate';
import type { Transaction } from '../prisma/database';
import type { Erasure } from '../prisma/generated/client';
import { RETAINED } from './search';

/** The company, as papers name it. */
export type Operator = { readonly name: string; readonly address: string };
/** Who answers for the destruction: order 179 wants a name, a position and a signature. */
export type Responsible = { readonly name: string; readonly position: string };

const SYSTEM = 'Domovoy';
/** Order 179: the act and the extract are kept for three years. */
const KEEP_MS = 3 * 366 * 24 * 3_600_000;
const LAW = {
  'stop-processing': 'Federal Law 152-FZ, article 21 part 5.1 and article 14',
  'consent-withdrawn': 'Federal Law 152-FZ, article 21 part 5',
} as const;
const METHOD =
  'deleted from the database; the key of the person, under which all of it was sealed, was destroyed in every place that ' +
  'held a part of it';
const MEDIUM = 'database of the information system';
const KEY_STORE = { medium: 'key store of the information system', method: 'deleted from the key store' } as const;
/** docs/adr/0090: what is true of backups, and no more. */
const BACKUPS = {
  halves:
    'backups of the database hold the data, sealed, and one of the two halves of the key of the person, wrapped; the ' +
    'other half lay in the key store alone',
  whole:
    'backups of the database that were made until whole_key_until hold the data, sealed, and the key of the person, ' +
    'wrapped; those that were made later hold one of its two halves, the other one lay in the key store alone',
  since:
    '; there it was destroyed by share_destroyed_at, and backups of the key store are kept for key_store_retention_days, ' +
    'none where these are 0; from opens_nothing_from on nothing of the person opens with any backup',
} as const;
const DAY_MS = 24 * 3_600_000;
const CONFIRMED = {
  face: 'said that nothing is held, in its answer to the order or asked afterwards',
  plate: 'confirmed every order to block the plate, and has it no more',
} as const;
const NOT_ASKED = {
  'held-by-operator': 'held by the operator; nothing was passed',
  'kept-for-another': 'keeps the plate, because another registered person uses it',
} as const;

/** What may be said of a holder: that it confirmed only of one that was asked. */
function confirmationOf(standing: HolderStanding, kind: string): string {
  if (standing !== 'confirmed') return NOT_ASKED[standing];
  return kind === 'plate' ? CONFIRMED.plate : CONFIRMED.face;
}

const Found = z.object({ searchedAt: z.string(), places: z.number(), found: z.array(z.unknown()).length(0) });

/**
 * What backups still open, and until when. With one of the database that holds one half, only as long as one of the key
 * store holds the other; with one that was made before the key was split, as long as that is kept; with none once those of
 * the database are destroyed, which alone hold what is sealed.
 */
function backupsOf(
  { shareDestroyedAt, wholeKeyUntil }: Pick<Erasure, 'shareDestroyedAt' | 'wholeKeyUntil'>,
  {
    destroyedAt,
    lastAt,
    issuedAt,
    backupDays,
    keyStoreBackupDays,
  }: {
    readonly destroyedAt: Date;
    readonly lastAt: number;
    readonly issuedAt: Date;
    readonly backupDays: number;
    readonly keyStoreBackupDays: number;
  },
): ErasureCertificate['backups'] {
  const daysAfter = (at: number, days: number): number => at + days * DAY_MS;
  const shareAt = (shareDestroyedAt ?? issuedAt).getTime();
  const holdUntil = daysAfter(lastAt, backupDays);
  const keyStoreUntil = daysAfter(shareAt, keyStoreBackupDays);
  const wholeUntil = wholeKeyUntil === null ? 0 : daysAfter(wholeKeyUntil.getTime(), backupDays);
  const textOf = (at: number): string => new Date(at).toISOString();
  return {
    key_destroyed_at: destroyedAt.toISOString(),
    share_destroyed_at: textOf(shareAt),
    retention_days: backupDays,
    hold_until: textOf(holdUntil),
    key_store_retention_days: keyStoreBackupDays,
    key_store_hold_until: keyStoreBackupDays === 0 ? null : textOf(keyStoreUntil),
    whole_key_until: wholeKeyUntil?.toISOString() ?? null,
    opens_nothing_from: textOf(Math.max(shareAt, Math.min(holdUntil, Math.max(keyStoreUntil, wholeUntil)))),
    statement: (wholeKeyUntil === null ? BACKUPS.halves : BACKUPS.whole) + BACKUPS.since,
  };
}

/**
 * What the certificate says, from the rows and the journal and from nothing else.
 *
 * @throws when the last search was not clean: there is nothing to certify then
 */
export async function certificateOf(
  tx: Transaction,
  options: {
    erasureId: string;
    operator: Operator;
    responsible: Responsible;
    backupDays: number;
    keyStoreBackupDays: number;
    version: number;
    issuedAt: Date;
  },
): Promise<ErasureCertificate> {
  const { erasureId, operator, responsible, version, issuedAt } = options;
  const row = await tx.erasure.findUniqueOrThrow({ where: { id: erasureId }, include: { holders: true } });
  const entries = await tx.journalEntry.findMany({
    where: { kind: 'erasure', objectId: erasureId },
    orderBy: { seq: 'asc' },
  });
  const partnerIds = [...new Set(row.holders.map(({ partnerId }) => partnerId))].sort();
  const partners = await tx.partner.findMany({ where: { id: { in: partnerIds } }, orderBy: { id: 'asc' } });
  const search = Found.parse(row.search);
  const basis = row.basis === 'consent-withdrawn' ? 'consent-withdrawn' : 'stop-processing';
  const destroyed = entries.filter(({ outcome }) => outcome === 'destroyed');
  const destroyedAt = row.erasedAt ?? issuedAt;
  // Backups that were made until the last of it was destroyed have it.
  const lastAt = Math.max(destroyedAt.getTime(), ...destroyed.map(({ at }) => at.getTime()));
  return ErasureCertificate.parse({
    schema_version: CERTIFICATE_SCHEMA,
    certificate_id: randomUUID(),
    version,
    issued_at: issuedAt.toISOString(),
    keep_until: new Date(issuedAt.getTime() + KEEP_MS).toISOString(),
    operator,
    processors: partners.map(({ id, displayName, legalName, legalAddress }) => ({
      id,
      name: legalName ?? displayName,
      address: legalAddress,
    })),
    subject: { request_id: erasureId, pseudonym: row.subject },
    performed_by: {
      system: `${SYSTEM}, automated process "erasure"`,
      ...responsible,
      signature: 'electronic, of this document; by hand on its paper form',
    },
    reason: { basis, law: LAW[basis] },
    requested_at: row.requestedAt.toISOString(),
    destroyed_at: destroyedAt.toISOString(),
    destroyed: destroyed.map(({ reason, at }) => ({
      category: reason ?? '',
      system: SYSTEM,
      ...(reason === KEY_SHARE ? KEY_STORE : { medium: MEDIUM, method: METHOD }),
      destroyed_at: at.toISOString(),
    })),
    backups: backupsOf(row, { ...options, destroyedAt, lastAt }),
    holders: row.holders.map(({ partnerId, kind, confirmedAt, askedAt, orders, ...holder }) => {
      const standing = HOLDER_STANDINGS.find((known) => known === holder.standing) ?? 'confirmed';
      return {
        party: partnerId,
        category: kind,
        confirmed_at: (askedAt ?? confirmedAt)?.toISOString() ?? null,
        standing,
        confirmation: confirmationOf(standing, kind),
        ordered_again: orders,
      };
    }),
    search: {
      searched_at: search.searchedAt,
      places: search.places,
      found: 0,
      kept: Object.entries(RETAINED).map(([place, why]) => ({ place, why })),
    },
    journal_extract: entries.map(({ seq, at, outcome, reason }) => ({
      entry: seq.toString(),
      at: at.toISOString(),
      event: outcome ?? '',
      subject: erasureId,
      category: outcome === 'destroyed' ? reason : null,
      system: SYSTEM,
      reason: basis,
      detail: outcome === 'destroyed' ? null : reason,
    })),
  });
}
