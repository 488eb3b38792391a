import { temporal as protocol } from '@temporalio/proto';
import type { Client } from '@temporalio/client';
import { Gauge, type Registry } from 'prom-client';
import { FOLLOW_UP_TAKES_MS } from '../contracts/erasure';
import { TASK_QUEUES } from '../contracts/ids';
import { SEVERITIES } from '../contracts/security-alerts';
import type { ErasureClocks } from '../erasure/clocks';
import { dueAt, rotatingCredentials } from '../governance/held-credentials';
import type { HeadsFolder } from '../journal/heads-folder';
import type { Database } from '../prisma/database';

/** Scrapes come more often than these change; several Prometheus servers may ask. */
const KEEP_MS = 10_000;

/**
 * Shows what waits and what is due: entries without a place in the tree or a signature, heads that are not outside,
 * deletions and erasures that are not confirmed, credentials whose life ends, alerts that nobody has looked at, tasks that
 * no worker has taken. One process shows it for all: the worker `core`.
 */
export function showWhatIsDue(
  registry: Registry,
  database: Database,
  temporal: Client,
  { heads, warnDays }: Pick<ErasureClocks, 'warnDays'> & { readonly heads: HeadsFolder },
): void {
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    // All of them are read together; the first one that a scrape comes to asks for all.
    new Gauge({ name, help, labelNames, registers: [registry], collect: () => refresh() });
  const waiting = gauge('domovoy_waiting', 'What is not done yet, by kind.', ['kind']);
  const oldest = gauge('domovoy_waiting_oldest_seconds', 'Age of the oldest that is not done yet, by kind.', ['kind']);
  const dueIn = gauge('domovoy_due_seconds', 'Seconds until the next date that must be kept, by kind.', ['kind']);
  const alerts = gauge('domovoy_security_alerts_open', 'Alerts that nobody has acknowledged.', ['severity']);
  const backlog = gauge('domovoy_task_queue_backlog', 'Tasks that wait for a worker.', ['task_queue', 'kind']);
  const lag = gauge('domovoy_task_queue_lag_seconds', 'Age of the oldest task that waits for a worker.', [
    'task_queue',
    'kind',
  ]);

  let askedMs = 0;
  let asking: Promise<void> = Promise.resolve();
  function refresh(): Promise<void> {
    if (Date.now() - askedMs < KEEP_MS) return asking;
    askedMs = Date.now();
    // A part that does not answer leaves its figures as they were: its own readiness says so.
    const parts = Promise.allSettled([ofDatabase(), ofCredentials(), ofAlerts(), ...TASK_QUEUES.map(ofQueue)]);
    return (asking = parts.then(() => undefined));
  }

  async function ofDatabase(): Promise<void> {
    const rows = await database.$queryRaw<Due[]>`
      SELECT 'journal-entries' AS kind, count(*)::int AS count, min(e.at) AS since, NULL::timestamptz AS due
        FROM journal_pending p JOIN journal_entries e ON e.seq = p.entry_seq AND e.at = p.entry_at
      UNION ALL SELECT 'biometric-deletions', count(*)::int, min(requested_at), NULL
        FROM biometric_deletions WHERE state = 'deleting' AND NOT is_resident_held(resident_id)
      UNION ALL SELECT 'erasures', count(*)::int, min(requested_at), min(due_at)
        FROM erasures WHERE state NOT IN ('erased', 'closed')
      UNION ALL SELECT 'erasure-warnings', 0, NULL,
          min(due_at - least(${warnDays}::float8 * interval '1 day', (due_at - requested_at) / 2))
        FROM erasures WHERE state NOT IN ('erased', 'closed')
      UNION ALL SELECT 'erasure-follow-ups', (count(*) FILTER (WHERE follow_up_at < now()))::int,
          min(follow_up_at) FILTER (WHERE follow_up_at < now()),
          min(follow_up_at) + ${FOLLOW_UP_TAKES_MS}::float8 * interval '1 millisecond'
        FROM erasures WHERE state = 'erased'
      UNION ALL SELECT 'sales', count(*)::int, min(greatest(effective_at, created_at, reversed_at)), NULL
        FROM property_sales WHERE fan_out = 'due' AND effective_at < now()
      UNION ALL SELECT 'sales-not-in-force', count(*)::int, min(greatest(effective_at, created_at)), NULL
        FROM property_sales WHERE state = 'scheduled' AND effective_at < now()
      UNION ALL SELECT 'escalations', count(*)::int, min(raised_at), NULL FROM escalations WHERE resolved_at IS NULL
      UNION ALL SELECT 'consents', 0, NULL, min(expires_at) FROM consents WHERE status = 'granted'
      UNION ALL SELECT 'journal-head', 0, max(at), NULL FROM journal_heads
      UNION ALL SELECT 'journal-unsigned', count(*)::int, min(entry_at), NULL
        FROM journal_leaves WHERE position >= (SELECT coalesce(max(tree_size), 0) FROM journal_heads)
      UNION ALL SELECT 'journal-heads-inside', count(*)::int, min(at), NULL
        FROM journal_heads WHERE tree_size > ${sizeOutside(heads)}`;
    for (const { kind, count, since, due } of rows) {
      waiting.set({ kind }, count);
      oldest.set({ kind }, since === null ? 0 : (Date.now() - since.getTime()) / 1_000);
      if (due === null) dueIn.remove({ kind });
      else dueIn.set({ kind }, (due.getTime() - Date.now()) / 1_000);
    }
  }

  /** The next end of one that replaces itself: rotation begins a week before, so that a near one is an outage. */
  async function ofCredentials(): Promise<void> {
    const held = (await rotatingCredentials(database)).filter(({ isOff }) => isOff !== true);
    const ends = held.map((each) => dueAt(each).getTime());
    if (ends.length === 0) dueIn.remove({ kind: 'credentials' });
    else dueIn.set({ kind: 'credentials' }, (Math.min(...ends) - Date.now()) / 1_000);
  }

  async function ofAlerts(): Promise<void> {
    const groups = await database.securityAlert.groupBy({
      by: ['severity'],
      where: { acknowledgedAt: null },
      _count: { _all: true },
    });
    for (const severity of SEVERITIES) {
      alerts.set({ severity }, groups.find((group) => group.severity === severity)?._count._all ?? 0);
    }
  }

  async function ofQueue(taskQueue: string): Promise<void> {
    for (const [kind, taskQueueType] of Object.entries(QUEUE_TYPES)) {
      const { stats } = await temporal.workflowService.describeTaskQueue({
        namespace: temporal.options.namespace,
        taskQueue: { name: taskQueue },
        taskQueueType,
        reportStats: true,
      });
      backlog.set({ task_queue: taskQueue, kind }, Number(stats?.approximateBacklogCount ?? 0));
      lag.set({ task_queue: taskQueue, kind }, Number(stats?.approximateBacklogAge?.seconds ?? 0));
    }
  }
}

/** A folder that cannot be read has none that counts. */
function sizeOutside(heads: HeadsFolder): number {
  try {
    return heads.last()?.treeSize ?? 0;
  } catch {
    return 0;
  }
}

type Due = {
  readonly kind: string;
  readonly count: number;
  readonly since: Date | null;
  readonly due: Date | null;
};

const { TaskQueueType } = protocol.api.enums.v1;
const QUEUE_TYPES = {
  workflow: TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
  activity: TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
} as const;
