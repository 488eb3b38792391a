import { Counter, Histogram, type Registry } from 'prom-client';

/** What is counted of requests to the API: by operation and answer, never by caller or address. */
export type RequestMetrics = {
  /** @param route the path of the operation as the document has it, or `none` */
  answered(route: string, method: string, status: number, durationMs: number): void;
};

/** Edges of the histogram, seconds: close together where openings lie. */
const EDGES_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10];

export function createRequestMetrics(registry: Registry): RequestMetrics {
  const seconds = new Histogram({
    name: 'domovoy_http_request_seconds',
    help: 'How long requests to the API took, by operation and status.',
    labelNames: ['route', 'method', 'status'],
    buckets: EDGES_S,
    registers: [registry],
  });
  // One series that is there from the start: `increase` cannot see the first event of a series that begins with it.
  const faults = new Counter({
    name: 'domovoy_http_faults_total',
    help: 'Requests to the API that ended with 500: faults of ours.',
    registers: [registry],
  });
  return {
    answered(route, method, status, durationMs) {
      if (status === 500) faults.inc();
      seconds.observe({ route, method, status: status.toString() }, durationMs / 1_000);
    },
  };
}
