import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTeller } from './teller';

const root = mkdtempSync(join(tmpdir(), 'domovoy-teller-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const asked = { profile: 'basic-signed', asked: 'POST /door', expected: 'opened' };

function fresh() {
  const lines: string[] = [];
  const teller = createTeller(
    (line) => lines.push(line),
    (workflowId) => `https://ui/${workflowId}`,
  );
  const written = (): unknown => {
    const folder = mkdtempSync(join(root, 'f-'));
    teller.write(join(folder, 'out'));
    return JSON.parse(readFileSync(join(folder, 'out/story.json'), 'utf8'));
  };
  return { teller, lines, written };
}

describe('the teller of the story', () => {
  it('writes of each step its name, profile, what was expected, what came of it, how long it took, and its execution', async () => {
    const { teller, written } = fresh();
    await teller.step({ name: 'the door', ...asked }, async () => ({ outcome: 'opened', workflowId: 'open-access/1' }));
    await teller.step({ name: 'the wall', ...asked }, async () => ({ outcome: 'denied' }));
    const durationMs = expect.any(Number);
    const both = { profile: 'basic-signed', expected: 'opened', durationMs };
    expect(written()).toStrictEqual([
      { name: 'the door', ...both, outcome: 'opened', workflowId: 'open-access/1' },
      { name: 'the wall', ...both, outcome: 'denied', workflowId: null },
    ]);
  });

  it('prints what was asked, what came of it, how long it took, and where to look', async () => {
    const { teller, lines } = fresh();
    await teller.step({ name: 'the door', ...asked }, async () => ({ outcome: 'opened', workflowId: 'open-access/1' }));
    await teller.step({ name: 'the wall', ...asked }, async () => ({ outcome: 'denied' }));
    expect(lines.map((line) => line.replace(/\d+ ms/, 'N ms'))).toEqual([
      '  ✔ the door',
      '      asked: POST /door',
      '      came:  opened, N ms',
      '      see:   https://ui/open-access/1',
      '  ✘ the wall',
      '      asked: POST /door',
      '      came:  denied (expected: opened), N ms',
    ]);
  });

  it('says that all is as expected only when something was played and all of it came out so', async () => {
    const { teller } = fresh();
    expect(teller.asExpected()).toBe(false);
    expect(await teller.step({ name: 'one', ...asked }, async () => ({ outcome: 'opened' }))).toBe(true);
    expect(teller.asExpected()).toBe(true);
    const fails = async () => {
      throw new Error('no answer');
    };
    expect(await teller.step({ name: 'two', ...asked }, fails)).toBe(false);
    await teller.step({ name: 'three', ...asked }, async () => ({ outcome: 'opened' }));
    expect(teller.asExpected()).toBe(false);
  });

  it('keeps what was played when something breaks between two steps, and counts that as a failure', async () => {
    const { teller, written } = fresh();
    await teller.play(async () => {
      await teller.step({ name: 'one', ...asked }, async () => ({ outcome: 'opened' }));
      throw new Error('no usable answer from localhost');
    });
    expect(teller.asExpected()).toBe(false);
    expect(written()).toMatchObject([
      { name: 'one', outcome: 'opened' },
      { name: 'the story goes on', outcome: 'error: no usable answer from localhost' },
    ]);
  });

  it('adds nothing of its own to a story that is played to its end', async () => {
    const { teller, written } = fresh();
    await teller.play(async () => {
      await teller.step({ name: 'one', ...asked }, async () => ({ outcome: 'opened' }));
    });
    expect(written()).toMatchObject([{ name: 'one' }]);
    expect(teller.asExpected()).toBe(true);
  });
});
