import { randomBytes } from 'node:crypto';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, type Attributes, type Tracer } from '@opentelemetry/api';
import { ExportResultCode, parseTraceParent } from '@opentelemetry/core';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type SpanExporter,
} from '@opentelemetry/sdk-trace';
import { correlated, correlation } from './correlation';

/**
 * What a span may say: listed words and opaque ids, as in a log line (config/logger.ts). Whatever else is passed is
 * dropped here; a span takes no message of an error and no event.
 */
const ALLOWED_ATTRIBUTES = [
  'http.response.status_code',
  'domovoy.correlation_id',
  'domovoy.client',
  'domovoy.partner',
  'domovoy.attempt',
  'domovoy.workflow_id',
  'domovoy.task_queue',
  'error.type',
] as const;
type AllowedAttribute = (typeof ALLOWED_ATTRIBUTES)[number];
export type SpanAttributes = Readonly<Partial<Record<AllowedAttribute, string | number | undefined>>>;

const EVERY_MS = 1_000;
const SENT_WITHIN_MS = 5_000;

const KINDS = { server: SpanKind.SERVER, internal: SpanKind.INTERNAL, client: SpanKind.CLIENT };
type Named = {
  /** An operation, a type of workflow or activity: a listed word. */
  readonly name: string;
  readonly kind: keyof typeof KINDS;
  readonly attributes?: SpanAttributes;
};

export type OpenSpan = {
  readonly traceparent: string;
  /** @param failure name of what went wrong, `undefined` when nothing did */
  end(failure?: string, attributes?: SpanAttributes, atMs?: number): void;
};

export type Tracing = { readonly close: () => Promise<void> };

type Running = { readonly tracer: Tracer; readonly ids: ReturnType<typeof chosenIds> };
let running: Running | undefined;

/**
 * Begins to tell of spans, by OTLP over HTTP, to the collector that the settings name. Without one nothing is traced,
 * and tracing costs a look at a variable.
 *
 * @param process name of the process, as its log lines have it
 */
export function startTracing(
  process: string,
  settings: {
    readonly OTEL_EXPORTER_OTLP_TRACES_ENDPOINT?: string | undefined;
    readonly OTEL_TRACES_SAMPLER_ARG: number;
  },
): Tracing {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: url, OTEL_TRACES_SAMPLER_ARG: share } = settings;
  if (url === undefined) return { close: () => Promise.resolve() };
  const ids = chosenIds();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': `domovoy-${process}` }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(share) }),
    idGenerator: ids,
    spanProcessors: [new BatchSpanProcessor({ exporter: otlpExporter(url), scheduledDelayMillis: EVERY_MS })],
  });
  const started = { tracer: provider.getTracer('domovoy'), ids };
  running = started;
  return {
    async close() {
      if (running === started) running = undefined;
      // A collector that is away keeps no process from ending.
      await provider.shutdown().catch(() => undefined);
    },
  };
}

/**
 * OTLP over HTTP, as JSON. The exporter of the SDK is not used: it reads the environment by itself, which only
 * config/environment.ts does. What the collector does not take is dropped.
 */
function otlpExporter(url: string): SpanExporter {
  const underWay = new Set<Promise<void>>();
  const send = async (body: Uint8Array<ArrayBuffer>): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(SENT_WITHIN_MS) });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error('The collector did not take the spans.');
  };
  return {
    export(spans, done) {
      const sending = send(Buffer.from(JsonTraceSerializer.serializeRequest(spans) ?? []))
        .then(() => done({ code: ExportResultCode.SUCCESS }))
        .catch(() => done({ code: ExportResultCode.FAILED }))
        .finally(() => underWay.delete(sending));
      underWay.add(sending);
    },
    async shutdown() {
      await Promise.all(underWay);
    },
  };
}

/**
 * Begins a span.
 *
 * @param options.parent W3C trace context of what it is part of; without one a trace begins
 * @param options.spanId its own id, where that has to be known elsewhere; 16 hexadecimal digits
 * @returns `undefined` while nothing is traced
 */
export function beginSpan(
  { name, kind, attributes = {} }: Named,
  options: { readonly parent?: string | undefined; readonly spanId?: string; readonly atMs?: number } = {},
): OpenSpan | undefined {
  if (!running) return undefined;
  const { tracer, ids } = running;
  const parent = options.parent === undefined ? null : parseTraceParent(options.parent);
  const within = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
  const startTime = options.atMs === undefined ? {} : { startTime: options.atMs };
  const span = ids.with(options.spanId, () =>
    tracer.startSpan(name, { kind: KINDS[kind], attributes: allowed(attributes), ...startTime }, within),
  );
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`,
    end(failure, more = {}, atMs) {
      span.setAttributes(allowed({ ...more, 'error.type': failure }));
      if (failure !== undefined) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end(atMs);
    },
  };
}

/** Runs `work` within a span of what is being worked for (config/correlation.ts); what it begins is part of that. */
export async function traced<T>(named: Named, work: () => Promise<T>): Promise<T> {
  const known = correlation();
  const span = known && beginSpan(named, { parent: known.traceparent });
  if (!span) return work();
  return correlated({ ...known, traceparent: span.traceparent }, async () => {
    try {
      const result = await work();
      span.end();
      return result;
    } catch (error) {
      span.end(failureName(error));
      throw error;
    }
  });
}

const NAME = /^[A-Za-z]{1,64}$/;

/** The stable name of a failure, never what it says. */
export function failureName(error: unknown): string {
  const { type, name } = (error ?? {}) as { type?: unknown; name?: unknown };
  return [type, name].find((text): text is string => typeof text === 'string' && NAME.test(text)) ?? 'Error';
}

const allowed = (attributes: SpanAttributes): Attributes =>
  Object.fromEntries(
    ALLOWED_ATTRIBUTES.flatMap((name) => {
      const value = attributes[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );

/** Random ids, but where one is chosen: an execution's span is named before it is over (workflows/lib/correlation.ts). */
function chosenIds() {
  let chosen: string | undefined;
  return {
    generateTraceId: () => randomBytes(16).toString('hex'),
    generateSpanId: () => chosen ?? randomBytes(8).toString('hex'),
    with<T>(spanId: string | undefined, begin: () => T): T {
      chosen = spanId;
      try {
        return begin();
      } finally {
        chosen = undefined;
      }
    },
  };
}
