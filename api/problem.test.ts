import { Client as TemporalClient, Connection, WorkflowNotFoundError } from '@temporalio/client';
import { Client as PgClient } from 'pg';
import { openDatabase, query, sql } from '../prisma/database';
import { named, notFound, nothingHere, toProblem } from './problem';

const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe('while a part is away the answer is 503, which blames nobody', () => {
  test('PostgreSQL, asked through Prisma', async () => {
    const database = openDatabase('postgresql://nobody:nothing@127.0.0.1:1/none', 1);
    expect(toProblem(await failureOf(database.$queryRaw`SELECT 1`)).status).toBe(503);
    expect(toProblem(await failureOf(database.house.findFirst())).status).toBe(503);
    expect(toProblem(await failureOf(query(database, sql`SELECT 1`))).status).toBe(503);
    expect(toProblem(await failureOf(database.$transaction((tx) => tx.house.findFirst()))).status).toBe(503);
    await database.$disconnect();
  });

  test('PostgreSQL, asked by the counters', async () => {
    const client = new PgClient('postgresql://nobody:nothing@127.0.0.1:1/none');
    expect(toProblem(await failureOf(client.connect())).status).toBe(503);
  });

  test('Temporal', async () => {
    const connection = Connection.lazy({ address: '127.0.0.1:1' });
    const client = new TemporalClient({ connection });
    const describing = client.withDeadline(Date.now() + 500, () => client.workflow.getHandle('none').describe());
    expect(toProblem(await failureOf(describing)).status).toBe(503);
    await connection.close();
  });
});

test.each(['P2034', '40P01', 'P2028'])('who waited in vain for others is told to come again (%s)', (code) => {
  expect(toProblem(Object.assign(new Error('deadlock'), { code })).status).toBe(503);
});

test('an execution that is not there is what the path names, and what was named already stays so', () => {
  const gone = new WorkflowNotFoundError('gone', 'consent/1', undefined);
  const fields = (error: unknown) => toProblem(error).errors?.map(({ field }) => field);
  expect(fields(named(gone, ['consentId']))).toEqual(['consentId']);
  expect(fields(named(notFound('residentId'), ['consentId']))).toEqual(['residentId']);
  expect(fields(named(nothingHere(), []))).toBeUndefined();
  expect(named(new Error('secret'), ['consentId'])).toEqual(new Error('secret'));
});

test('a fault of our own stays a bare 500 that quotes nothing', () => {
  expect(toProblem(new Error('secret'))).toEqual({
    type: '/problems/internal',
    status: 500,
    title: 'Something went wrong on our side',
  });
});
