import { createHash } from 'node:crypto';
import { cancellationSignal, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import {
  CALLING_SEVERITIES,
  type AlertEvent,
  type AlertRequest,
  type CallingSeverity,
} from '../contracts/security-alerts';
import { headAbove, HeadInvalid, newestHead } from '../journal/heads';
import { hashText, type Head } from '../journal/head';
import { appendJournal } from '../journal/journal';
import type { EntrySeen, HeadSeen, Observation } from '../monitoring/observation';
import { watch, type Memories } from '../monitoring/watch';
import type { SecurityWebhook } from '../partners/security-webhook';
import { clockSkewMs } from '../prisma/clock';
import type { Database, Transaction } from '../prisma/database';
import type { JournalEntry, SecurityAlert } from '../prisma/generated/client';
import { ACTOR, raiseFinding, SUSPENSION_ALERT } from './raise-finding';

export type SecurityMonitoringActivities = ReturnType<typeof createSecurityMonitoringActivities>;

const STATE_ID = 'journal';
const BATCH = 1_000;
const HEADS_AT_ONCE = 100;
const MOST_BEGUN = 100;
const MOST_SWEPT = 1_000;
const SWEEP_EVERY_MS = 3_600_000;
const TURN_TIMEOUT_MS = 60_000;

/**
 * Effects of the monitoring, run by the `core` worker. A turn looks, remembers and raises in one transaction: a worker
 * that dies in it has done nothing, and one that comes twice finds nothing new.
 *
 * @param deps.webhook `null`: nobody is told by message; alerts are in the API and in the log all the same
 */
export function createSecurityMonitoringActivities(deps: {
  database: Database;
  startAlert: (request: AlertRequest) => Promise<void>;
  webhook: SecurityWebhook | null;
}) {
  const { database } = deps;
  let sweptMs = -Infinity;
  return {
    /** Shows the rules what came since. @returns how much, what was raised anew, and whether more waits */
    async watchJournal(): Promise<{ seen: number; raised: number; more: boolean }> {
      return database.$transaction(
        async (tx) => {
          const [state] = await tx.$queryRaw<State[]>`
            SELECT position, alarm_seq AS "alarmSeq", memory FROM monitoring_state WHERE id = ${STATE_ID} FOR UPDATE`;
          if (!state) throw new Error('The monitoring has lost its place.');
          const { position, alarmSeq, memory } = state;
          const placed = await placedFrom(tx, position);
          const alarms = await tx.journalEntry.findMany({
            where: { objectId: 'journal', kind: 'alarm', seq: { gt: alarmSeq } },
            orderBy: { seq: 'asc' },
          });
          const observations: Observation[] = [
            // What the sealing cries out has no place yet when the sealing is what is broken.
            ...(await seenOf(
              tx,
              placed.filter(({ kind }) => kind !== 'alarm'),
            )),
            ...alarms.map((entry) => seenEntry(entry)),
            ...(await headsSince(tx, memory)),
            await ownClock(tx),
          ];
          const { memories, found, forgotten } = watch(memory, observations);
          for (const { kind, count } of forgotten) {
            log.warn('a rule has no room for all that it should remember', {
              event: 'monitoring-forgets',
              code: kind,
              count,
            });
          }
          let raised = 0;
          for (const each of found) if (await raiseFinding(tx, each, log)) raised++;
          await tx.monitoringState.update({
            where: { id: STATE_ID },
            data: {
              position: position + BigInt(placed.length),
              alarmSeq: alarms.at(-1)?.seq ?? alarmSeq,
              memory: memories,
              updatedAt: new Date(),
            },
          });
          return { seen: placed.length, raised, more: placed.length === BATCH };
        },
        { timeout: TURN_TIMEOUT_MS, maxWait: TURN_TIMEOUT_MS },
      );
    },

    /**
     * Sees to it that every alert that calls and that nobody has looked at has an execution, whoever raised it: a process
     * may have died between the two. An alert of which a message was written has had one; whether it still has is looked
     * at once an hour. The most severe and newest come first, and a flood waits its turn.
     *
     * @returns how many are open
     */
    async beginAlerts(): Promise<number> {
      const isOpen = { acknowledgedAt: null, severity: { in: [...CALLING_SEVERITIES] } };
      const isSweep = Date.now() - sweptMs >= SWEEP_EVERY_MS;
      const open = await database.securityAlert.findMany({
        where: isSweep ? isOpen : { ...isOpen, deliveries: { none: {} } },
        orderBy: [{ severity: 'asc' }, { raisedAt: 'desc' }],
        take: isSweep ? MOST_SWEPT : MOST_BEGUN,
        select: { id: true, severity: true, raisedAt: true },
      });
      for (const { id: alertId, severity, raisedAt } of open) {
        await deps.startAlert({ alertId, severity: severity as CallingSeverity, raisedAt: raisedAt.toISOString() });
      }
      if (isSweep) sweptMs = Date.now();
      return database.securityAlert.count({ where: isOpen });
    },

    async isAlertAcknowledged(alertId: string): Promise<boolean> {
      const { acknowledgedAt } = await database.securityAlert.findUniqueOrThrow({ where: { id: alertId } });
      return acknowledgedAt !== null;
    },

    /** Writes down what is to be told, once for each event. @returns the message's id */
    async prepareAlertMessage(event: { alertId: string; event: AlertEvent; level: number }): Promise<string> {
      const { alertId, level } = event;
      const id = ['alert', alertId, event.event, level.toString()].join('_');
      await database.$transaction(async (tx) => {
        const alert = await tx.securityAlert.findUniqueOrThrow({
          where: { id: alertId },
          include: { suspensions: true },
        });
        const at = new Date();
        const body = JSON.stringify(messageOf(alert, suspendedIn(alert), event, at));
        const row = { id, alertId, event: event.event, level, at, body };
        const { count } = await tx.alertDelivery.createMany({ data: [row], skipDuplicates: true });
        if (count === 0 || event.event !== 'escalated') return;
        const { integration } = alert;
        const entry = { integration, objectId: alertId, actor: ACTOR, outcome: 'raised', reason: level.toString() };
        await appendJournal(tx, { kind: 'escalation', ...entry });
        log.error('nobody has looked at a security alert', { event: 'security-alert', code: alert.kind, count: level });
      });
      return id;
    },

    /** Tells the security team. @throws until the receiver has taken it */
    async deliverAlert(messageId: string): Promise<void> {
      const { body, deliveredAt } = await database.alertDelivery.findUniqueOrThrow({ where: { id: messageId } });
      if (deliveredAt !== null || deps.webhook === null) return;
      const tried = { attempts: { increment: 1 } };
      try {
        await deps.webhook.deliver({ id: messageId, body }, cancellationSignal());
      } catch {
        await database.alertDelivery.update({ where: { id: messageId }, data: tried });
        // Whatever went wrong there may be right later: the execution decides how long it is tried.
        throw ApplicationFailure.create({
          type: 'PartnerUnavailable',
          message: 'The receiver did not take the message.',
        });
      }
      await database.alertDelivery.update({ where: { id: messageId }, data: { ...tried, deliveredAt: new Date() } });
    },
  };
}

type State = { readonly position: bigint; readonly alarmSeq: bigint; readonly memory: Memories };

/** Entries in the order of the tree; what has no place yet is seen once it has one. */
function placedFrom(tx: Transaction, position: bigint): Promise<JournalEntry[]> {
  return tx.$queryRaw<JournalEntry[]>`
    SELECT e.seq, e.at, e.integration, e.kind, e.object_id AS "objectId", e.actor, e.outcome, e.reason
    FROM journal_leaves l JOIN journal_entries e ON e.seq = l.entry_seq AND e.at = l.entry_at
    WHERE l.position >= ${position} ORDER BY l.position LIMIT ${BATCH}`;
}

const seenEntry = (entry: JournalEntry, opening?: EntrySeen['opening']): EntrySeen => ({
  type: 'entry',
  seq: entry.seq.toString(),
  atMs: entry.at.getTime(),
  kind: entry.kind,
  integration: entry.integration,
  objectId: entry.objectId,
  actor: entry.actor,
  outcome: entry.outcome,
  reason: entry.reason,
  ...(opening && { opening }),
});

/** With the rows of openings: the journal says that there was one, the row says where. */
async function seenOf(tx: Transaction, entries: readonly JournalEntry[]): Promise<EntrySeen[]> {
  const ids = entries.flatMap(({ kind, objectId }) => (kind === 'opening' && objectId !== null ? [objectId] : []));
  const rows = await tx.$queryRaw<OpeningRow[]>`
    SELECT o.id, o.method, o.access_point_id AS "accessPointId", a.house_id AS "houseId", o.resident_id AS "residentId",
      h.latitude, h.longitude
    FROM openings o JOIN access_points a ON a.id = o.access_point_id JOIN houses h ON h.id = a.house_id WHERE o.id = ANY(${ids}::uuid[])`;
  const openings = new Map(rows.map((row) => [row.id, row]));
  return entries.map((entry) => {
    const row = entry.objectId === null ? undefined : openings.get(entry.objectId);
    if (!row) return seenEntry(entry);
    const { method, accessPointId, houseId, residentId, latitude, longitude } = row;
    const place = latitude !== null && longitude !== null ? { place: { latitude, longitude } } : {};
    const who = residentId === null ? null : nameOf(residentId);
    return seenEntry(entry, { method, accessPointId, houseId, who, ...place });
  });
}

type OpeningRow = {
  readonly id: string;
  readonly method: string;
  readonly accessPointId: string;
  readonly houseId: string;
  readonly residentId: string | null;
  readonly latitude: number | null;
  readonly longitude: number | null;
};

/** Rules tell people apart and need not know them: nothing that they remember leads back by itself. */
const nameOf = (residentId: string): string =>
  createHash('sha256').update(`monitoring/${residentId}`).digest('base64url').slice(0, 22);

/** Heads after the last one that was seen, each with its proof; when there is none, the newest as it is now. */
async function headsSince(tx: Transaction, memories: Memories): Promise<HeadSeen[]> {
  const [last] = memories['journal-head']?.['last'] ?? [];
  const seen: HeadSeen[] = [];
  try {
    let size = Number(last?.value ?? 0);
    while (seen.length < HEADS_AT_ONCE) {
      const next = await headAbove(tx, size);
      if (!next) break;
      // Before anything was seen, only the newest is of use: there is nothing that it could extend.
      if (!last) return [seenHead((await newestHead(tx)) ?? next)];
      seen.push(seenHead(next));
      size = next.treeSize;
    }
    const newest = seen.length === 0 && last ? await newestHead(tx) : null;
    return newest ? [seenHead(newest)] : seen;
  } catch (error) {
    if (!(error instanceof HeadInvalid)) throw error;
    return [...seen, { type: 'head', atMs: Date.now(), treeSize: error.treeSize, rootHash: 'invalid', previous: null }];
  }
}

const seenHead = ({ at, treeSize, rootHash, previous }: Head): HeadSeen => ({
  type: 'head',
  atMs: Date.parse(at),
  treeSize,
  rootHash: hashText(rootHash),
  previous,
});

const ownClock = async (tx: Transaction): Promise<Observation> => ({
  type: 'clock',
  atMs: Date.now(),
  of: 'worker-core',
  skewMs: await clockSkewMs(tx),
});

/** Whom the alert had suspended, or tells of. */
const suspendedIn = (alert: SecurityAlert & { suspensions: { clientId: string }[] }): string | undefined =>
  alert.kind === SUSPENSION_ALERT ? alert.objectId : alert.suspensions[0]?.clientId;

/** What the security team is told: listed words and ids; who may, looks further in the API. */
function messageOf(
  alert: SecurityAlert,
  suspendedClientId: string | undefined,
  { event, level }: { event: AlertEvent; level: number },
  at: Date,
): object {
  const { id: alertId, kind, severity, scope, objectId, integration, evidence, times } = alert;
  const about = { alertId, kind, severity, scope, objectId, integration, evidence, times, level };
  return {
    type: `security.alert.${event}`,
    timestamp: at.toISOString(),
    data: {
      ...about,
      raisedAt: alert.raisedAt.toISOString(),
      ...(suspendedClientId !== undefined && { suspendedClientId }),
      ...(alert.acknowledgedBy !== null && { acknowledgedBy: alert.acknowledgedBy }),
    },
  };
}
