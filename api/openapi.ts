import { z } from 'zod';
import { createDocument, type ZodOpenApiOperationObject, type ZodOpenApiPathsObject } from 'zod-openapi';
import { PERMISSIONS, STEP_UP_S } from '../contracts/staff';
import { SESSION_COOKIE } from './staff/session-token';
import { LINES_MEDIA_TYPES, PDF_MEDIA_TYPE, PHOTO_MEDIA_TYPES, type Operation } from './operation';

export type ApiSection = { readonly base: string; readonly tag: string; readonly operations: readonly Operation[] };

const ProblemDetails = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    openingId: z.uuid().optional(),
    reason: z.string().optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457 problem details' });

/** What names nothing is told; on an operation that is asked for with nothing, there is nothing to tell. */
const NamesNothing = ProblemDetails.required({ errors: true }).meta({
  id: 'NotFoundProblem',
  description: 'RFC 9457 problem details. `errors` has the members of the request that name nothing you may know of.',
});

/** Statuses that any operation may answer with, besides its own. */
const COMMON_PROBLEMS = ['400', '401', '403', '404', '409', '413', '415', '422', '429', '503'] as const;

/** The OpenAPI 3.1 document, made from the same operations that are mounted (R2.10). */
export function openApiDocument(options: {
  version: string;
  serverUrl: string;
  tokenUrl: string;
  sections: readonly ApiSection[];
}): object {
  const paths: ZodOpenApiPathsObject = {};
  for (const { base, tag, operations } of options.sections) {
    for (const operation of operations) {
      paths[base + operation.path] = {
        ...paths[base + operation.path],
        [operation.method]: operationObject(operation, tag),
      };
    }
  }
  const scopes = options.sections.flatMap(({ operations }) => operations.flatMap(({ scope }) => scope ?? []));
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Domovoy',
      version: options.version,
      description: 'Decides who may open which door or barrier, and runs every process around it.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: options.serverUrl }],
    paths,
    components: {
      securitySchemes: {
        oauth: {
          type: 'oauth2',
          flows: {
            clientCredentials: {
              tokenUrl: options.tokenUrl,
              scopes: Object.fromEntries([...new Set(scopes)].map((scope) => [scope, scope])),
            },
          },
        },
        staff: {
          type: 'apiKey',
          in: 'cookie',
          name: SESSION_COOKIE,
          description: 'Session of a member of staff, begun at /staff/login with a second factor (R4.9)',
        },
      },
    },
  });
}

function operationObject(operation: Operation, tag: string): ZodOpenApiOperationObject {
  const { id, summary, description, params, query, body, responses } = operation;
  const problemOf = (description: string, schema: z.ZodType) => ({
    description,
    content: { 'application/problem+json': { schema } },
  });
  const problem = problemOf('A problem', ProblemDetails);
  const isAskedForByName = Object.keys(params.shape).length > 0 || query !== undefined || body !== undefined;
  const notFound = problemOf('What the request names is not there for you', NamesNothing);
  return {
    operationId: id,
    ...(operation.deprecation && { deprecated: true }),
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...accessOf(operation),
    requestParams: {
      path: params,
      ...(query && { query }),
      ...headersOf(operation),
    },
    ...(body && { requestBody: { required: true, content: requestContent(body) } }),
    responses: {
      ...Object.fromEntries(
        Object.entries(responses).map(([status, response]) => [
          status,
          {
            description: response.description,
            ...(response.schema && { content: { 'application/json': { schema: response.schema } } }),
            ...(response.mediaType && {
              content: { [response.mediaType]: { schema: { type: 'string' as const, format: 'binary' } } },
            }),
          },
        ]),
      ),
      ...Object.fromEntries(COMMON_PROBLEMS.map((status) => [status, problem])),
      ...(isAskedForByName && { 404: notFound }),
    },
  };
}

/** Who may call: clients within a scope, or staff with one of these roles (`x-roles`). */
function accessOf({ scope, permission, stepUp }: Operation) {
  if (permission === undefined) return { security: [{ oauth: [scope] }] };
  return {
    security: [{ staff: [] }],
    'x-roles': [...PERMISSIONS[permission]],
    ...(stepUp && { 'x-step-up-seconds': STEP_UP_S }),
  };
}

function headersOf({ method, permission, idempotency }: Operation) {
  const headers = {
    ...(idempotency && { 'Idempotency-Key': z.string().min(8).max(128) }),
    ...(permission !== undefined && method !== 'get' && { 'X-CSRF-Token': z.string() }),
  };
  return Object.keys(headers).length > 0 && { header: z.object(headers) };
}

function requestContent(body: NonNullable<Operation['body']>) {
  if (body.kind === 'json') return { 'application/json': { schema: body.schema } };
  if (body.kind === 'lines') {
    const text = { schema: { type: 'string' as const, maxLength: body.maxBytes } };
    return Object.fromEntries((body.mediaTypes ?? LINES_MEDIA_TYPES).map((type) => [type, text]));
  }
  const binary = { schema: { type: 'string' as const, format: 'binary', maxLength: body.maxBytes } };
  if (body.kind === 'pdf') return { [PDF_MEDIA_TYPE]: { schema: binary.schema } };
  return Object.fromEntries(PHOTO_MEDIA_TYPES.map((type) => [type, binary]));
}
