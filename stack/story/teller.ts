import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One line of `story.json`. */
export type Step = {
  readonly name: string;
  readonly profile: string;
  readonly expected: string;
  readonly outcome: string;
  readonly durationMs: number;
  readonly workflowId: string | null;
};

export type Told = { readonly outcome: string; readonly workflowId?: string | null };

const failed = (error: unknown): Told => ({
  outcome: `error: ${error instanceof Error ? error.message : 'unknown'}`,
});

export type Teller = {
  chapter(title: string): void;
  /** Plays one step and prints what was asked, what came of it, how long it took and where to look at it. */
  step(
    step: { name: string; profile: string; asked: string; expected: string },
    play: () => Promise<Told>,
  ): Promise<boolean>;
  /** Plays what is made of steps. What breaks between two of them ends it, and is a step that failed. */
  play(story: () => Promise<void>): Promise<void>;
  /** Whether every step so far came out as expected. */
  asExpected(): boolean;
  /** Writes `story.json` into the folder. */
  write(folder: string): void;
};

/**
 * @param print takes one line
 * @param linkTo makes an address in the Temporal UI of a workflow id
 */
export function createTeller(print: (line: string) => void, linkTo: (workflowId: string) => string): Teller {
  const steps: Step[] = [];
  const teller: Teller = {
    chapter(title) {
      print('');
      print(title);
    },
    async step({ name, profile, asked, expected }, play) {
      const startedMs = performance.now();
      const { outcome, workflowId = null } = await play().catch(failed);
      const durationMs = Math.round(performance.now() - startedMs);
      const good = outcome === expected;
      steps.push({ name, profile, expected, outcome, durationMs, workflowId });
      print(`  ${good ? '✔' : '✘'} ${name}`);
      print(`      asked: ${asked}`);
      print(`      came:  ${outcome}${good ? '' : ` (expected: ${expected})`}, ${durationMs.toString()} ms`);
      if (workflowId !== null) print(`      see:   ${linkTo(workflowId)}`);
      return good;
    },
    async play(story) {
      const between = { name: 'the story goes on', profile: 'story', asked: 'what the next step rests on' };
      await story().catch((error: unknown) =>
        teller.step({ ...between, expected: 'there' }, () => Promise.resolve(failed(error))),
      );
    },
    asExpected: () => steps.length > 0 && steps.every(({ expected, outcome }) => expected === outcome),
    write(folder) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'story.json'), `${JSON.stringify(steps, null, 2)}\n`);
    },
  };
  return teller;
}
