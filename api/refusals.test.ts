import { randomBytes } from 'node:crypto';
import express from 'express';
import request from 'supertest';
import type { Refusal } from '../journal/refusals';
import { noteKnown } from './authentication/caller';
import { noteRefusalOf, noteRefusals } from './refusals';

describe('who was not let in', () => {
  const counted: Refusal[] = [];
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
    .get('/at-fault', (_req, res) => void res.status(400).end());

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
});
