import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openNonces } from './nonces';

describe('nonces', () => {
  let folder: string;
  let file: string;
  const now = new Date('2026-01-01T00:00:00Z');
  const later = (seconds: number) => new Date(now.getTime() + seconds * 1_000);
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'nonces-'));
    file = path.join(folder, 'nonces.jsonl');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('are used once each, by each key', () => {
    const nonces = openNonces(file, () => now);
    expect(nonces.use('key-1', 'n', later(60))).toBe(true);
    expect(nonces.use('key-1', 'n', later(60))).toBe(false);
    expect(nonces.use('key-2', 'n', later(60))).toBe(true);
    nonces.close();
  });

  it('are remembered by the next process, also when the last one was killed without closing', async () => {
    const killed = openNonces(file, () => now);
    killed.use('key-1', 'n', later(60));
    await appendFile(file, '["[\\"key-1\\",\\"torn');
    const next = openNonces(file, () => later(30));
    expect(next.use('key-1', 'n', later(60))).toBe(false);
    next.close();
    killed.close();
  });

  it('are forgotten once no signature can pass with them', () => {
    const first = openNonces(file, () => now);
    first.use('key-1', 'n', later(60));
    first.close();
    const next = openNonces(file, () => later(61));
    expect(next.use('key-1', 'n', later(120))).toBe(true);
    next.close();
  });
});
