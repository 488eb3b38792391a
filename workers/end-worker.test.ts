import { endWorker } from './end-worker';

describe('the end of a worker', () => {
  type State = ReturnType<Parameters<typeof endWorker>[0]['getState']>;
  /** As the SDK's: it ends when it runs, and throws otherwise. */
  function workerIn(state: State) {
    return {
      getState: () => state,
      shutdown() {
        if (state !== 'RUNNING') throw new Error(`Not running. Current state: ${state}`);
        state = 'DRAINING';
      },
    };
  }

  it('is begun when it runs', () => {
    const worker = workerIn('RUNNING');
    endWorker(worker);
    expect(worker.getState()).toBe('DRAINING');
    endWorker(worker);
    expect(worker.getState()).toBe('DRAINING');
  });

  it.each<State>(['FAILED', 'STOPPED', 'STOPPING', 'DRAINING', 'DRAINED'])(
    'is not disturbed by a signal that comes when it is %s',
    (state) => {
      const worker = workerIn(state);
      expect(() => {
        endWorker(worker);
      }).not.toThrow();
      expect(worker.getState()).toBe(state);
    },
  );
});
