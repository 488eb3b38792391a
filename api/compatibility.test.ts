import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { projectFile } from '../config/project-root';
import { breakingChanges } from './compatibility';
import { API_VERSION, documentOf } from './composition';
import { openApiDocument } from './openapi';
import { defineOperation } from './operation';
import { RELEASED_DOCUMENT } from './released-document';

type Document = Record<string, unknown> & { info: { version: string } };
const major = (version: string): string => version.split('.')[0] ?? '';

test('clients of the last release are not broken, unless the major version rose (R4.12)', () => {
  const released = JSON.parse(readFileSync(projectFile(RELEASED_DOCUMENT), 'utf8')) as Document;
  const current = JSON.parse(JSON.stringify(documentOf('https://api.domovoy.example'))) as Document;
  const breaks = breakingChanges(released, current);
  expect(major(API_VERSION) === major(released.info.version) ? breaks : []).toEqual([]);
});

describe('what breaks a client', () => {
  type Shape = { body?: z.ZodType; answer?: z.ZodType; query?: z.ZodObject; path?: string; scope?: string };

  function document({ body, answer, query, path = '/doors/{id}', scope = 'door' }: Shape = {}): Record<
    string,
    unknown
  > {
    const operation = defineOperation({
      id: 'op',
      method: 'post',
      path,
      summary: 'An operation',
      scope,
      params: z.object({ id: z.string() }),
      ...(query && { query }),
      ...(body && { body: { kind: 'json' as const, schema: body } }),
      responses: { 200: { description: 'Done', schema: answer ?? z.object({ id: z.string() }) } },
      handle: () => Promise.reject(new Error('not called')),
    });
    const sections = [{ base: '/v1', tag: 'v1', operations: [operation] }];
    const made = openApiDocument({
      version: '1.0.0',
      serverUrl: 'https://a.example',
      tokenUrl: 'https://a.example/t',
      sections,
    });
    return JSON.parse(JSON.stringify(made)) as Record<string, unknown>;
  }

  const breaks = (before: Shape, after: Shape): string[] => breakingChanges(document(before), document(after));
  const s = z.string();

  test.each<[string, Shape, Shape]>([
    ['a path that is gone', {}, { path: '/gates/{id}' }],
    ['another scope', {}, { scope: 'gate' }],
    ['a new required member of the body', { body: z.strictObject({ a: s }) }, { body: z.strictObject({ a: s, b: s }) }],
    [
      'a member that must be there now',
      { body: z.strictObject({ a: s.optional() }) },
      { body: z.strictObject({ a: s }) },
    ],
    ['a body where there was none', {}, { body: z.strictObject({ a: s }) }],
    ['another type', { body: z.strictObject({ a: s }) }, { body: z.strictObject({ a: z.number() }) }],
    ['a shorter maximum', { body: z.strictObject({ a: s.max(9) }) }, { body: z.strictObject({ a: s.max(8) }) }],
    ['a longer minimum', { body: z.strictObject({ a: s }) }, { body: z.strictObject({ a: s.min(1) }) }],
    [
      'fewer values that are taken',
      { body: z.strictObject({ a: z.enum(['x', 'y']) }) },
      { body: z.strictObject({ a: z.enum(['x']) }) },
    ],
    ['a stricter format', { body: z.strictObject({ a: s }) }, { body: z.strictObject({ a: z.uuid() }) }],
    [
      'items of another type',
      { body: z.strictObject({ a: z.array(s) }) },
      { body: z.strictObject({ a: z.array(z.int()) }) },
    ],
    ['a required query parameter', {}, { query: z.object({ q: s }) }],
    ['a member of the answer that is gone', { answer: z.object({ a: s, b: s }) }, { answer: z.object({ a: s }) }],
    [
      'a member of the answer that may be missing now',
      { answer: z.object({ a: s }) },
      { answer: z.object({ a: s.optional() }) },
    ],
    [
      'a member of the answer that may be null now',
      { answer: z.object({ a: s }) },
      { answer: z.object({ a: s.nullable() }) },
    ],
    [
      'a new value in an answer',
      { answer: z.object({ a: z.enum(['x']) }) },
      { answer: z.object({ a: z.enum(['x', 'y']) }) },
    ],
    [
      'a change behind a reference',
      { answer: z.object({ a: z.object({ b: s }).meta({ id: 'Part' }) }) },
      { answer: z.object({ a: z.object({ b: z.int() }).meta({ id: 'Part2' }) }) },
    ],
  ])('%s', (_what, before, after) => {
    expect(breaks(before, after)).not.toEqual([]);
  });

  test.each<[string, Shape, Shape]>([
    [
      'nothing changed',
      { body: z.strictObject({ a: z.union([s, z.int()]) }) },
      { body: z.strictObject({ a: z.union([s, z.int()]) }) },
    ],
    [
      'an optional member of the body',
      { body: z.strictObject({ a: s }) },
      { body: z.strictObject({ a: s, b: s.optional() }) },
    ],
    [
      'more values that are taken',
      { body: z.strictObject({ a: z.enum(['x']) }) },
      { body: z.strictObject({ a: z.enum(['x', 'y']) }) },
    ],
    ['a longer maximum', { body: z.strictObject({ a: s.max(8) }) }, { body: z.strictObject({ a: s.max(9) }) }],
    ['a new member of the answer', { answer: z.object({ a: s }) }, { answer: z.object({ a: s, b: s }) }],
    ['an optional query parameter', {}, { query: z.object({ q: s.optional() }) }],
    [
      'fewer values in an answer',
      { answer: z.object({ a: z.enum(['x', 'y']) }) },
      { answer: z.object({ a: z.enum(['x']) }) },
    ],
    ['null taken as well', { body: z.strictObject({ a: s }) }, { body: z.strictObject({ a: s.nullable() }) }],
  ])('not: %s', (_what, before, after) => {
    expect(breaks(before, after)).toEqual([]);
  });
});
