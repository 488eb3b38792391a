import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { traced } from '../config/tracing';
import type { FailureType } from '../contracts/failures';
import { PartnerError } from './failure';
import type { PartnerCall, PartnerGateway } from './ports';

/** What is written down of the calls to partners, for Prometheus (R4.13). */
export type PartnerMetrics = {
  /**
   * @param outcome `ok`, or the name of the failure; the partner's own refusals count as answers
   * @param order the key of an order that no row of ours tells of
   */
  called(partnerId: string, operation: string, outcome: string, durationMs: number, order?: string): void;
};

/** What a partner's contract promises: availability as a share of the calls, latency in milliseconds. */
export type PartnerPromise = {
  readonly partnerId: string;
  readonly availability: number;
  readonly latencyMs: number;
};

/** Failures that are the partner's; deploy/prometheus/rules.yml names the same. */
const FAULTS = [
  'PartnerUnreachable',
  'PartnerUnavailable',
  'PartnerMisanswered',
  'PartnerUnauthorized',
] as const satisfies readonly FailureType[];

const OPERATIONS = [
  'open',
  'extract-face',
  'enroll-face',
  'face-state',
  'remove-face',
  'allow-plate',
  'block-plate',
  'plate-state',
  'list-equipment',
  'add-credential',
  'check-credential',
  'retire-credentials',
  'hand-over-credential',
] as const;

/** Scrapes come more often than contracts change; several Prometheus servers may ask. */
const KEEP_MS = 10_000;

/** Edges of the latency histogram, seconds; close together where agreed latencies lie. */
const EDGES_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10];

/**
 * Registers the metrics; every one of them is named in deploy/prometheus/rules.yml.
 *
 * @param promises what the partners that this process may call have promised, as it is now
 */
export function createPartnerMetrics(
  registry: Registry,
  promises: () => Promise<readonly PartnerPromise[]>,
): PartnerMetrics {
  const calls = new Counter({
    name: 'domovoy_partner_calls_total',
    help: 'Calls to partners by operation and outcome.',
    labelNames: ['partner', 'operation', 'outcome'],
    registers: [registry],
    collect: () => refresh(),
  });
  const seconds = new Histogram({
    name: 'domovoy_partner_call_seconds',
    help: 'How long calls to partners took, token included.',
    labelNames: ['partner', 'operation'],
    buckets: EDGES_S,
    registers: [registry],
  });
  const target = new Gauge({
    name: 'domovoy_partner_sla_target',
    help: 'What the contract promises: availability as a share, latency in seconds.',
    labelNames: ['partner', 'target'],
    registers: [registry],
    collect: () => refresh(),
  });

  let askedMs = -Infinity;
  let asking: Promise<void> = Promise.resolve();
  /** What cannot be read leaves the figures as they were. */
  function refresh(): Promise<void> {
    if (performance.now() - askedMs < KEEP_MS) return asking;
    askedMs = performance.now();
    return (asking = promises().then(show, () => undefined));
  }

  function show(rows: readonly PartnerPromise[]): void {
    target.reset();
    for (const { partnerId: partner, availability, latencyMs } of rows) {
      target.set({ partner, target: 'availability' }, availability);
      target.set({ partner, target: 'latency_seconds' }, latencyMs / 1_000);
      // `increase` cannot see the first event of a series that begins with it, and a rare call fails rarely twice.
      for (const operation of OPERATIONS) {
        for (const outcome of ['ok', ...FAULTS]) calls.inc({ partner, operation, outcome }, 0);
      }
    }
  }

  return {
    called(partner, operation, outcome, durationMs) {
      calls.inc({ partner, operation, outcome });
      // How soon we gave up is not how quick the partner is.
      if (outcome !== CANCELLED) seconds.observe({ partner, operation }, durationMs / 1_000);
    },
  };
}

const CANCELLED = 'cancelled';

/** One call to another system: timed, and a span of the trace that it is made in. */
export function measuredCall<R>(
  { partnerId, operation, order }: { readonly partnerId: string; readonly operation: string; readonly order?: string },
  metrics: Pick<PartnerMetrics, 'called'>,
  call: () => Promise<R>,
): Promise<R> {
  const named = { name: operation, kind: 'client', attributes: { 'domovoy.partner': partnerId } } as const;
  return traced(named, async () => {
    const startedMs = performance.now();
    const end = (outcome: string): void => {
      metrics.called(partnerId, operation, outcome, performance.now() - startedMs, order);
    };
    try {
      const result = await call();
      end('ok');
      return result;
    } catch (error) {
      // A cancelled call says nothing about the partner.
      end(error instanceof PartnerError ? error.type : CANCELLED);
      throw error;
    }
  });
}

/** The same gateway, every call of it measured. */
export function measured(gateway: PartnerGateway, metrics: PartnerMetrics): PartnerGateway {
  const { partnerId, biometrics, plates } = gateway;
  const timed =
    <A extends unknown[], R>(operation: (typeof OPERATIONS)[number], call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      measuredCall({ partnerId, operation }, metrics, () => call(...args));
  /** What is deleted or blocked leaves no row; of openings and enrollments there is one. */
  const ordered =
    <W, R>(operation: (typeof OPERATIONS)[number], order: (what: W, call: PartnerCall) => Promise<R>) =>
    (what: W, call: PartnerCall): Promise<R> =>
      measuredCall({ partnerId, operation, order: call.idempotencyKey }, metrics, () => order(what, call));
  return {
    partnerId,
    doors: { open: timed('open', (...args) => gateway.doors.open(...args)) },
    biometrics:
      biometrics.custody === 'company'
        ? {
            custody: 'company',
            extractor: { extract: timed('extract-face', (...args) => biometrics.extractor.extract(...args)) },
          }
        : {
            custody: 'partner',
            custodian: {
              enroll: timed('enroll-face', (...args) => biometrics.custodian.enroll(...args)),
              enrollmentState: timed('face-state', (...args) => biometrics.custodian.enrollmentState(...args)),
              remove: ordered('remove-face', (face, call) => biometrics.custodian.remove(face, call)),
            },
          },
    plates: plates && {
      allow: ordered('allow-plate', (plate, call) => plates.allow(plate, call)),
      block: ordered('block-plate', (plate, call) => plates.block(plate, call)),
      isAllowed: timed('plate-state', (...args) => plates.isAllowed(...args)),
    },
    equipment: { list: timed('list-equipment', (...args) => gateway.equipment.list(...args)) },
    credentials: {
      add: timed('add-credential', (...args) => gateway.credentials.add(...args)),
      check: timed('check-credential', (...args) => gateway.credentials.check(...args)),
      retireOthers: timed('retire-credentials', (...args) => gateway.credentials.retireOthers(...args)),
      handOver: timed('hand-over-credential', (...args) => gateway.credentials.handOver(...args)),
    },
    close: () => gateway.close(),
  };
}
