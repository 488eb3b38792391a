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

const SYSTEM = 'Domovoy';
/** Order 179: the act and the extract are kept for three years. */
const KEEP_MS = 3 * 366 * 24 * 3_600_000;
const LAW = {
  'stop-processing': 'Federal Law 152-FZ, article 21 part 5.1 and article 14',
  'consent-withdrawn': 'Federal Law 152-FZ, article 21 part 5',
} as const;
const METHOD = 'deleted from the database; the key of the person, under which all of it was sealed, was destroyed';
const MEDIUM = 'database of the information system, its backups included (by destruction of the key)';
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
  options: { erasureId: string; operator: Operator; version: number; issuedAt: Date },
): Promise<ErasureCertificate> {
  const { erasureId, operator, version, issuedAt } = options;
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
  return ErasureCertificate.parse({
    schema_version: CERTIFICATE_SCHEMA,
    certificate_id: randomUUID(),
    version,
    issued_at: issuedAt.toISOString(),
    keep_until: new Date(issuedAt.getTime() + KEEP_MS).toISOString(),
    operator,
    // Its address is in the contract with the partner, which this system does not hold.
    processors: partners.map(({ id, displayName }) => ({ id, name: displayName, address: null })),
    subject: { request_id: erasureId, pseudonym: row.subject },
    performed_by: {
      system: SYSTEM,
      position: 'automated process "erasure"',
      signature: 'electronic, of this document',
    },
    reason: { basis, law: LAW[basis] },
    requested_at: row.requestedAt.toISOString(),
    destroyed_at: (row.erasedAt ?? issuedAt).toISOString(),
    destroyed: destroyed.map(({ reason, at }) => ({
      category: reason ?? '',
      system: SYSTEM,
      medium: MEDIUM,
      method: METHOD,
      destroyed_at: at.toISOString(),
    })),
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
      reason: outcome === 'destroyed' ? basis : (reason ?? basis),
    })),
  });
}
