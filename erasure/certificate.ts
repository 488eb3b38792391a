import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  CERTIFICATE_SCHEMA,
  ErasureCertificate,
  HOLDER_STANDINGS,
  type HolderStanding,
} from '../contracts/erasure-certificate';
import type { Transaction } from '../prisma/database';
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
  'deleted from the database; the key of the person, under which all of it was sealed, was destroyed there';
const MEDIUM = 'database of the information system';
/** docs/adr/0077: what is true of backups, and no more. */
const BACKUPS =
  'backups made before the destruction hold the data, sealed, and the key of the person, wrapped; each is destroyed when ' +
  'its term is over; one that is restored before then opens nothing to anybody until this erasure has begun in it again';
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
    version: number;
    issuedAt: Date;
  },
): Promise<ErasureCertificate> {
  const { erasureId, operator, responsible, backupDays, version, issuedAt } = options;
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
      medium: MEDIUM,
      method: METHOD,
      destroyed_at: at.toISOString(),
    })),
    backups: {
      key_destroyed_at: destroyedAt.toISOString(),
      retention_days: backupDays,
      hold_until: new Date(lastAt + backupDays * DAY_MS).toISOString(),
      statement: BACKUPS,
    },
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
