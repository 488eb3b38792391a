import express from 'express';
import request from 'supertest';
import { z } from 'zod';
import type { Database } from '../prisma/database';
import { defineOperation, mountOperations } from './operation';

test('an operation that is to go says since when and until when, on refusals too (RFC 9745, RFC 8594)', async () => {
  const operation = defineOperation({
    id: 'old',
    method: 'get',
    path: '/old',
    summary: 'On its way out',
    scope: 'any',
    params: z.object({}),
    deprecation: {
      since: new Date('2026-01-01T00:00:00Z'),
      sunset: new Date('2027-01-01T00:00:00Z'),
      documentation: 'https://api.domovoy.example/docs',
    },
    responses: { 200: { description: 'Done' } },
    handle: () => Promise.resolve({ status: 200, body: {} }),
  });
  const app = express().use(
    mountOperations([operation], {
      database: {} as Database,
      exchanges: { note: () => undefined },
      authenticate: () => [(_req, res) => void res.status(401).end()],
      admit: (_req, _res, next) => {
        next();
      },
    }),
  );
  const answer = await request(app).get('/old');
  expect(answer.status).toBe(401);
  expect(answer.headers).toMatchObject({
    deprecation: '@1767225600',
    sunset: 'Fri, 01 Jan 2027 00:00:00 GMT',
    link: '<https://api.domovoy.example/docs>; rel="deprecation"; type="text/html"',
  });
});
