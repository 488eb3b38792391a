import pino, { type DestinationStream, type Logger } from 'pino';
import type { KeyEncryption } from '../vault/key-encryption';
import { openLogSegments } from '../vault/log-segments';

export type { Logger };

/**
 * Fields that a log line may carry. Whatever else is passed is dropped at the source: an allow-list, because a block
 * list forgets the field that somebody invents tomorrow (R2.5). All are opaque ids, listed words, counts or times.
 */
const ALLOWED_FIELDS = new Set([
  'process',
  'event',
  'method',
  'route',
  'status',
  'durationMs',
  'requestId',
  'correlationId',
  'clientId',
  'partnerId',
  'integration',
  'taskQueue',
  'workflowType',
  'workflowId',
  'runId',
  'activityType',
  'attempt',
  'outcome',
  'code',
  'count',
  'port',
  'signal',
  'error',
  'sdkComponent',
]);

const DAY_MS = 86_400_000;

/**
 * Where the lines of a process rest: encrypted, when it has a folder for them; else on the standard output, for whoever
 * runs it to keep safe. What is waiting is written when the process ends.
 */
export async function logDestination(
  name: string,
  settings: { LOG_SEGMENTS_DIR?: string | undefined; LOG_SEGMENTS_DAYS: number },
  keyEncryption: KeyEncryption,
): Promise<DestinationStream | undefined> {
  const { LOG_SEGMENTS_DIR: folder, LOG_SEGMENTS_DAYS: days } = settings;
  if (folder === undefined) return undefined;
  const segments = await openLogSegments({ folder, process: name, keyEncryption, keepMs: days * DAY_MS });
  process.on('exit', () => {
    segments.end();
  });
  return segments;
}

/** @returns a JSON-lines logger in which redaction is decided once, for every process alike */
export function createLogger(name: string, level: string, destination?: DestinationStream): Logger {
  return pino(
    {
      level,
      base: { process: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: allowedOnly },
    },
    destination ?? pino.destination(1),
  );
}

function allowedOnly(fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const described = describe(name, value);
      return described === undefined ? [] : [[name, described]];
    }),
  );
}

/** Errors are told by name, stable code and place: their messages may quote what they failed on. */
function describe(name: string, value: unknown): unknown {
  if (!ALLOWED_FIELDS.has(name)) return undefined;
  if (value instanceof Error) return describeError(value);
  return value !== null && typeof value === 'object' ? undefined : value;
}

function describeError(error: Error): Record<string, unknown> {
  const { code, type } = error as { code?: unknown; type?: unknown };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return {
    name: error.name,
    ...(typeof code === 'string' && { code }),
    ...(typeof type === 'string' && { type }),
    at: frames.slice(0, 6).map((line) => line.trim()),
    ...(error.cause instanceof Error && { cause: describeError(error.cause) }),
  };
}
