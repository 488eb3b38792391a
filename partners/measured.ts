import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { traced } from '../config/tracing';
import { PartnerError } from './failure';
import type { PartnerGateway } from './ports';

/** What is written down of the calls to partners, for Prometheus (R4.13). */
export type PartnerMetrics = {
  /** @param outcome `ok`, or the name of the failure; the partner's own refusals count as answers */
  called(partnerId: string, operation: string, outcome: string, durationMs: number): void;
  /** What the partner's contract promises. */
  promised(partnerId: string, sla: { availability: number; latencyMs: number }): void;
};

/** Edges of the latency histogram, seconds; close together where agreed latencies lie. */
const EDGES_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10];

/** Registers the metrics; every one of them is named in deploy/prometheus/rules.yml. */
export function createPartnerMetrics(registry: Registry): PartnerMetrics {
  const calls = new Counter({
    name: 'domovoy_partner_calls_total',
    help: 'Calls to partners by operation and outcome.',
    labelNames: ['partner', 'operation', 'outcome'],
    registers: [registry],
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
  });
  return {
    called(partner, operation, outcome, durationMs) {
      calls.inc({ partner, operation, outcome });
      seconds.observe({ partner, operation }, durationMs / 1_000);
    },
    promised(partner, { availability, latencyMs }) {
      target.set({ partner, target: 'availability' }, availability);
      target.set({ partner, target: 'latency_seconds' }, latencyMs / 1_000);
    },
  };
}

/** One call to another system: timed, and a span of the trace that it is made in. */
export function measuredCall<R>(
  { partnerId, operation }: { readonly partnerId: string; readonly operation: string },
  metrics: Pick<PartnerMetrics, 'called'>,
  call: () => Promise<R>,
): Promise<R> {
  const named = { name: operation, kind: 'client', attributes: { 'domovoy.partner': partnerId } } as const;
  return traced(named, async () => {
    const startedMs = performance.now();
    const end = (outcome: string): void => {
      metrics.called(partnerId, operation, outcome, performance.now() - startedMs);
    };
    try {
      const result = await call();
      end('ok');
      return result;
    } catch (error) {
      // A cancelled call says nothing about the partner.
      end(error instanceof PartnerError ? error.type : 'cancelled');
      throw error;
    }
  });
}

/** The same gateway, every call of it measured. */
export function measured(gateway: PartnerGateway, metrics: PartnerMetrics): PartnerGateway {
  const { partnerId, biometrics, plates } = gateway;
  const timed =
    <A extends unknown[], R>(operation: string, call: (...args: A) => Promise<R>) =>
    (...args: A): Promise<R> =>
      measuredCall({ partnerId, operation }, metrics, () => call(...args));
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
              remove: timed('remove-face', (...args) => biometrics.custodian.remove(...args)),
            },
          },
    plates: plates && {
      allow: timed('allow-plate', (...args) => plates.allow(...args)),
      block: timed('block-plate', (...args) => plates.block(...args)),
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
