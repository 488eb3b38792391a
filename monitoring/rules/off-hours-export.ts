import { refsOf, remember } from '../memory';
import type { Rule } from '../rule';

const HOUR = 3_600_000;
/** What takes much out of the house at once, and from how many within an hour on it is an export. */
const EXPORTS: Readonly<Record<string, number>> = {
  decodePayloads: 1,
  getStaffOpening: 30,
  listSecurityAlerts: 60,
  listEquipment: 30,
  listAccessRules: 30,
  listPartners: 60,
  getLogExportPart: 1,
  downloadCredential: 1,
  readJournalExport: 1,
  getSignedJournalExport: 1,
  getAccessReview: 5,
  getAttestationLetterFile: 10,
  getStaffErasureCertificatePaper: 10,
};
/** What leaves by the command `domovoy` has an entry of its own; it is all of it at once. */
const BY_COMMAND = ['journal-export', 'log-reading'];
/** Where the company works: Monday to Friday, 8 to 20 o'clock. */
const clock = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'Europe/Moscow',
  weekday: 'short',
  hour: '2-digit',
  hourCycle: 'h23',
});

/** Staff take out much at a time when nobody works (R4.5). It may be a night shift: a person looks, nobody is kept out. */
export const offHoursExport: Rule = {
  kind: 'off-hours-export',
  severity: 'medium',
  quietMs: 8 * HOUR,
  reachMs: HOUR,
  step(memory, seen) {
    if (seen.type !== 'entry') return undefined;
    const { actor, reason } = seen;
    if (BY_COMMAND.includes(seen.kind) && seen.outcome === 'by-command' && actor !== null && isOffHours(seen.atMs)) {
      return { scope: seen.kind, objectId: actor, integration: null, evidence: [seen.seq] };
    }
    if (seen.kind !== 'exchange' || seen.outcome !== '200') return undefined;
    if (actor === null || reason === null || !actor.startsWith('staff/') || !isOffHours(seen.atMs)) return undefined;
    const most = EXPORTS[reason];
    if (most === undefined) return undefined;
    const window = remember(memory, `${actor} ${reason}`, { atMs: seen.atMs, ref: seen.seq }, HOUR);
    if (window.length < most) return undefined;
    return { scope: reason, objectId: actor, integration: null, evidence: refsOf(window) };
  },
};

export function isOffHours(atMs: number): boolean {
  const parts = Object.fromEntries(clock.formatToParts(atMs).map(({ type, value }) => [type, value]));
  const hour = Number(parts['hour']);
  return ['Sat', 'Sun'].includes(parts['weekday'] ?? '') || hour < 8 || hour >= 20;
}
