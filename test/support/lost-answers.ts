import { ApplicationFailure } from '@temporalio/common';

type Activity = (...args: unknown[]) => Promise<unknown>;

/**
 * What `kill -9` after a step's last line does to it: the effect is there, and nobody heard of it. Each activity dies so
 * the first time that it is run, by name and by what it is about.
 */
export function createLostAnswers() {
  const lost = new Set<string>();
  let isOn = false;
  return {
    on(): void {
      isOn = true;
    },
    /** Names of the activities that died so. */
    names: (): string[] => [...new Set([...lost].map((each) => each.split(' ')[0] ?? ''))].toSorted(),
    wrap<T extends object>(activities: T): T {
      const wrapped = Object.entries(activities as Record<string, Activity>).map(([name, activity]) => {
        const dying: Activity = async (...args) => {
          const result = await activity(...args);
          const step = `${name} ${JSON.stringify(args[0])}`;
          if (!isOn || lost.has(step)) return result;
          lost.add(step);
          throw ApplicationFailure.retryable('the worker died', 'WorkerDied');
        };
        return [name, dying];
      });
      return Object.fromEntries(wrapped) as T;
    },
  };
}
