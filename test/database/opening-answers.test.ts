import { randomUUID } from 'node:crypto';
import { openOpeningAnswers, type OpeningAnswers } from '../../api/opening-answers';
import { createLogger } from '../../config/logger';
import { openDatabase, type Database } from '../../prisma/database';
import { createTestDatabase, type TestDatabase } from '../support/database';
import { openLine } from '../support/outage';
import { until } from '../support/until';

describe('the answers of openings', () => {
  let db: TestDatabase;
  let worker: Database;
  let answers: OpeningAnswers;
  const lines: string[] = [];
  beforeAll(async () => {
    db = await createTestDatabase();
    worker = openDatabase(db.urlFor('domovoy_smart_home'), 2);
    const log = createLogger('test', 'info', { write: (line: string) => void lines.push(line) });
    answers = await openOpeningAnswers({ databaseUrl: db.urlFor('domovoy_api'), log });
  });
  afterAll(async () => {
    await answers.close();
    await worker.$disconnect();
    await db.drop();
  });

  const tell = (payload: string, channel = answers.channel) =>
    worker.$executeRaw`SELECT pg_notify(${channel}, ${payload})`;
  const endOf = (outcome: string) => {
    const at = new Date().toISOString();
    return { outcome, at, requestedAt: at, notAfter: at };
  };

  it('reach everybody in the process who waits for that opening, and nobody else', async () => {
    const [openingId, otherId] = [randomUUID(), randomUUID()];
    const both = [answers.expect(openingId), answers.expect(openingId)];
    const other = answers.expect(otherId);
    const end = endOf('opened');
    await tell(JSON.stringify({ openingId, ...end }));
    expect(await Promise.all(both.map(({ answer }) => answer))).toEqual([end, end]);
    const denied = { ...endOf('denied'), reason: 'no-right' };
    await tell(JSON.stringify({ openingId: otherId, ...denied }));
    expect(await other.answer).toEqual(denied);
    for (const { forget } of [...both, other]) forget();
  });

  it('come with the transaction that writes the end, and not without it', async () => {
    const openingId = randomUUID();
    const { answer, forget } = answers.expect(openingId);
    const said: string[] = [];
    void answer.then(({ outcome }) => said.push(outcome));
    const rolledBack = worker.$transaction(async (tx) => {
      await tx.$executeRaw`SELECT pg_notify(${answers.channel}, ${JSON.stringify({ openingId, ...endOf('opened') })})`;
      throw new Error('the end could not be written');
    });
    await expect(rolledBack).rejects.toThrow('could not be written');
    await tell(JSON.stringify({ openingId, ...endOf('failed') }));
    await answer;
    expect(said).toEqual(['failed']);
    forget();
  });

  it('are not taken from what is no end of an opening, nor from the channel of another process', async () => {
    const openingId = randomUUID();
    const { answer, forget } = answers.expect(openingId);
    const opened = JSON.stringify({ openingId, ...endOf('opened') });
    for (const payload of ['', 'no JSON', '[]', opened.replace('opened', 'ajar'), opened.replace(openingId, 'x')]) {
      await tell(payload);
    }
    await tell(opened, `answers_${'0'.repeat(32)}`);
    await tell(JSON.stringify({ openingId, ...endOf('expired') }));
    expect((await answer).outcome).toBe('expired');
    forget();
  });

  it('come again after the connection was lost, which is logged', async () => {
    const superuser = openDatabase(db.ownerUrl, 1);
    await superuser.$executeRaw`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE 'LISTEN answers_%'`;
    await until('the loss is noticed', () => Promise.resolve(!answers.isListening()));
    expect(lines.filter((line) => line.includes('opening-answers'))).toHaveLength(1);
    await until('it listens again', () => Promise.resolve(answers.isListening()));
    const openingId = randomUUID();
    const { answer, forget } = answers.expect(openingId);
    await tell(JSON.stringify({ openingId, ...endOf('opened') }));
    expect((await answer).outcome).toBe('opened');
    forget();
    await superuser.$disconnect();
  });

  it('come again after the connection was lost and nobody told the process', async () => {
    const { hostname, port } = new URL(db.urlFor('domovoy_api'));
    const line = await openLine({ host: hostname, port: Number(port) });
    const url = new URL(db.urlFor('domovoy_api'));
    url.port = line.port.toString();
    const log = createLogger('test', 'silent');
    const elsewhere = await openOpeningAnswers({ databaseUrl: url.toString(), log, answersWithinMs: 300 });
    line.silence();
    await until('the silence is noticed', () => Promise.resolve(!elsewhere.isListening()));
    await until('it listens again', () => Promise.resolve(elsewhere.isListening()));
    const openingId = randomUUID();
    const { answer, forget } = elsewhere.expect(openingId);
    await tell(JSON.stringify({ openingId, ...endOf('opened') }), elsewhere.channel);
    expect((await answer).outcome).toBe('opened');
    forget();
    await elsewhere.close();
    await line.close();
  });
});
