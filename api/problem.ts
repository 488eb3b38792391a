import { ApplicationFailure, WorkflowNotFoundError } from '@temporalio/common';
import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { ErrorRequestHandler, Response } from 'express';
import { ZodError } from 'zod';
import type { Logger } from '../config/logger';
import { FAILURES, isFailureType, type FailureType } from '../contracts/failures';

const TOO_LARGE = 'The request is too large';

/** RFC 9457 problem details. `type` is a path of this API that explains the problem. */
export type Problem = {
  readonly type: string;
  readonly status: number;
  readonly title: string;
  readonly detail?: string;
  /** Which parts of the request are at fault and why; names and rules only, never the values. */
  readonly errors?: readonly { readonly field: string; readonly message: string }[];
  readonly [extension: string]: unknown;
};

/** An answer that a route chose: thrown where the reason is found, turned into HTTP in one place. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly problem: Problem;
  readonly headers: Readonly<Record<string, string>>;

  constructor(options: {
    status: number;
    type: string;
    title: string;
    detail?: string;
    errors?: readonly { field: string; message: string }[];
    headers?: Readonly<Record<string, string>>;
    extensions?: Readonly<Record<string, unknown>>;
  }) {
    super(options.title);
    const { type, headers, extensions, ...rest } = options;
    this.problem = { type: type.startsWith('/') ? type : `/problems/${type}`, ...rest, ...extensions };
    this.headers = headers ?? {};
  }
}

const NOT_FOUND = { status: 404, type: 'not-found', title: 'There is no such resource' } as const;

/** Nothing is there, and no part of the request names what is missing: a path that is none. */
export const nothingHere = (): HttpProblem => new HttpProblem(NOT_FOUND);

/**
 * What does not exist and what the caller may not know of are answered alike.
 *
 * @param fields what the request names it by; all of them where which one it is would say too much
 */
export const notFound = (...fields: readonly [string, ...string[]]): HttpProblem =>
  new HttpProblem({
    ...NOT_FOUND,
    errors: fields.map((field) => ({ field, message: 'names nothing that you may know of' })),
  });

/**
 * What an execution did not find is what the path names.
 *
 * @param params of the path
 */
export function named(error: unknown, params: readonly string[]): unknown {
  const [first, ...more] = params;
  const { status, errors } = toProblem(error);
  return status === 404 && errors === undefined && first !== undefined ? notFound(first, ...more) : error;
}

/** A request whose part of that name is larger than what is taken. */
export const tooLarge = (field: string, message: string): HttpProblem =>
  new HttpProblem({ status: 413, type: 'too-large', title: TOO_LARGE, errors: [{ field, message }] });

/** A request that is understood and cannot be served as it is; `field` says where. */
export const invalidField = (field: string, message: string, status = 400): HttpProblem =>
  new HttpProblem({
    status,
    type: 'invalid-request',
    title: 'The request is not valid',
    errors: [{ field, message }],
  });

/** The one place where an error becomes an HTTP answer. What it does not know becomes a bare 500, and is logged. */
export function problemHandler({ log }: { log: Logger }): ErrorRequestHandler {
  return (error: unknown, _req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const problem = toProblem(error);
    if (problem.status >= 500) log.error({ error, status: problem.status }, 'request failed');
    const headers = error instanceof HttpProblem ? error.headers : problem.status === 503 ? { 'retry-after': '1' } : {};
    sendProblem(res, problem, headers);
  };
}

export function sendProblem(res: Response, problem: Problem, headers: Readonly<Record<string, string>> = {}): void {
  res.status(problem.status).set(headers).type('application/problem+json').send(JSON.stringify(problem));
}

export function toProblem(error: unknown): Problem {
  if (error instanceof HttpProblem) return error.problem;
  if (error instanceof ZodError) return fromZod(error);
  if (error instanceof WorkflowNotFoundError) return nothingHere().problem;
  const failure =
    error instanceof WorkflowUpdateFailedError || error instanceof WorkflowFailedError ? innermost(error) : error;
  if (failure instanceof ApplicationFailure && isFailureType(failure.type)) return fromFailure(failure.type);
  if (isOutage(error)) {
    return { type: '/problems/unavailable', status: 503, title: 'A part that this rests on does not answer' };
  }
  return fromExpress(error) ?? { type: '/problems/internal', status: 500, title: 'Something went wrong on our side' };
}

function fromZod(error: ZodError): Problem {
  return {
    type: '/problems/invalid-request',
    status: 400,
    title: 'The request is not valid',
    errors: error.issues.slice(0, 20).map(({ path, message }) => ({ field: path.join('.'), message })),
  };
}

function fromFailure(type: FailureType): Problem {
  const slug = type.replace(/(?<!^)([A-Z])/g, '-$1').toLowerCase();
  return { type: `/problems/${slug}`, status: FAILURES[type].httpStatus, title: TITLES[type] };
}

const TITLES: Readonly<Record<FailureType, string>> = {
  NotFound: NOT_FOUND.title,
  ConsentMissing: 'There is no consent in force',
  PartnerNotAttested: 'The partner may not use biometrics at present',
  ConsentStateConflict: 'The consent is not in a state that allows this',
  EnrollmentConflict: 'Another enrollment is in progress',
  PhotoUnusable: 'The photo cannot be used',
  DeadlinePassed: 'The time for this has passed',
  PartnerRejected: 'The partner refused',
  PartnerThrottled: 'The partner is busy',
  PartnerUnreachable: 'The partner cannot be reached',
  PartnerUnavailable: 'The partner did not answer',
  PartnerMisanswered: 'The partner gave an answer that cannot be used',
  PartnerUnauthorized: 'The partner refused our credentials',
  DataNotAgreed: 'The data-set agreement does not cover this',
  BillingUnavailable: 'Billing did not answer',
  JournalBroken: 'The journal is not what was signed',
};

/** Errors of Express and its body parsers carry a 4xx status; their messages may quote the request, so ours are used. */
function fromExpress(error: unknown): Problem | null {
  const status = (error as { status?: unknown } | null)?.status;
  if (typeof status !== 'number' || status < 400 || status > 499) return null;
  const title = status === 413 ? TOO_LARGE : 'The request is not valid';
  return { type: status === 413 ? '/problems/too-large' : '/problems/invalid-request', status, title };
}

/** What the database's driver, Prisma and Temporal's client call it when the other side is away. */
const OUTAGE_CODES = new Set<unknown>([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN'],
  ...['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2037'],
  ...['DatabaseNotReachable', 'ConnectionClosed', 'SocketTimeout', 'TooManyConnections'],
  ...['P2034', 'TransactionWriteConflict', '40P01'], // Two that waited for each other: one may come again.
  'P2028', // So many wait for a connection that a transaction cannot begin in time.
  ...['57P01', '57P02', '57P03', '53300', '08006', '08001', '08003'],
  ...[4, 8, 14], // gRPC: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE
]);

/** Nothing opens while PostgreSQL or Temporal is away, and the caller is told to come back: no fault of the request. */
function isOutage(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, kind, originalCode, cause, errors, meta } = error as Record<string, unknown>;
  if ([code, kind, originalCode].some((word) => OUTAGE_CODES.has(word))) return true;
  const inner = (meta as { driverAdapterError?: unknown } | undefined)?.driverAdapterError;
  return [cause, inner, ...(Array.isArray(errors) ? (errors as unknown[]) : [])].some(isOutage);
}

function innermost(error: Error): unknown {
  let current: unknown = error;
  while (current instanceof Error && current.cause instanceof Error) current = current.cause;
  return current;
}
