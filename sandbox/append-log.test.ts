import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openAppendLog } from './append-log';
import { StartFailure } from './start-failure';

describe('append log', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'append-log-'));
    file = path.join(folder, 'data', 'partner.jsonl');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('gives back what was appended, in order, however many came at once', async () => {
    const log = await openAppendLog(file);
    await Promise.all(Array.from({ length: 50 }, (_, n) => log.append({ n })));
    await log.close();
    const again = await openAppendLog(file);
    expect(again.entries).toEqual(Array.from({ length: 50 }, (_, n) => ({ n })));
    await again.close();
  });

  it('has written an entry before it says so', async () => {
    const log = await openAppendLog(file);
    await log.append({ effect: 'open' });
    expect(await readFile(file, 'utf8')).toBe('{"effect":"open"}\n');
    await log.close();
  });

  it('drops a last line that was torn, and goes on after the whole ones', async () => {
    const log = await openAppendLog(file);
    await log.append({ n: 1 });
    await log.close();
    await appendFile(file, '{"n":2,"answer":{"sta');
    const again = await openAppendLog(file);
    expect(again.entries).toEqual([{ n: 1 }]);
    await again.append({ n: 3 });
    await again.close();
    expect(await readFile(file, 'utf8')).toBe('{"n":1}\n{"n":3}\n');
  });

  it('does not start over a whole line that cannot be read', async () => {
    const log = await openAppendLog(file);
    await log.close();
    await writeFile(file, '{"n":1}\nnot json\n{"n":2}\n');
    await expect(openAppendLog(file)).rejects.toThrow(StartFailure);
  });

  it('is for its owner only', async () => {
    const log = await openAppendLog(file);
    await log.close();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });
});
