import { randomBytes } from 'node:crypto';
import express from 'express';
import request from 'supertest';
import type { Exchange } from '../journal/exchanges';
import type { Refusal } from '../journal/refusals';
import { journaled } from './journaled';
import { noteKnown } from './authentication/caller';
import { until } from '../test/support/until';
import { noteRefusalOf, noteRefusals } from './refusals';

describe('who was not let in', () => {
  const counted: Refusal[] = [];
  const noted: Exchange[] = [];
  const app = express()
    .use(noteRefusals({ refused: (refusal) => void counted.push(refusal) }, randomBytes(32)))
    .get('/stranger', (_req, res) => void res.status(401).end())
    .get('/known', (_req, res) => {
      noteKnown(res, { clientId: 'staff/m' });
      res.status(401).end();
    })
    .get('/not-believed', (_req, res) => {
      noteRefusalOf(res, { code: 'credentials' });
      res.status(400).end();
    })
    .get('/at-fault', (_req, res) => void res.status(400).end())
    .get('/too-many', journaled('work', { note: (exchange) => void noted.push(exchange) }), (_req, res) => {
      noteKnown(res, { clientId: 'kluch' });
      noteRefusalOf(res, { code: 'too-many', client: { id: 'kluch', integration: null } });
      res.status(429).end();
    });

  beforeEach(() => counted.splice(0));

  it.each([
    ['is counted as a stranger', '/stranger', 401, 1],
    ['is none when it is known who it was: a proof that was too old is no stranger', '/known', 401, 0],
    ['is counted whatever the status is, when what was brought was not believed', '/not-believed', 400, 1],
    ['is none for a request at fault', '/at-fault', 400, 0],
  ])('%s', async (_what, path, status, times) => {
    expect((await request(app).get(path)).status).toBe(status);
    expect(counted.map(({ code }) => code)).toEqual(Array(times).fill('credentials'));
  });

  it('is counted and writes no line of its own when there were too many of it, whoever it is', async () => {
    for (let times = 0; times < 3; times++) await request(app).get('/too-many');
    await until('all are counted', () => Promise.resolve(counted.length === 3));
    expect(counted.map(({ code, client }) => [code, client?.id])).toEqual(Array(3).fill(['too-many', 'kluch']));
    expect(noted).toEqual([]);
  });
});
