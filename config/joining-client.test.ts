import { WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { joiningClient } from './joining-client';

const lost = () => new WorkflowExecutionAlreadyStartedError('taken', 'id', 'workflow');
type SignalWithStart = NonNullable<(typeof joiningClient)['signalWithStart']>;
const begin = (answers: (() => Promise<string>)[]) =>
  (joiningClient.signalWithStart as SignalWithStart)({} as never, () => (answers.shift() as () => Promise<string>)());

describe('two that begin an execution by a signal at once', () => {
  it('share it: who comes second asks again and finds that of the first', async () => {
    await expect(begin([() => Promise.reject(lost()), () => Promise.resolve('run')])).resolves.toBe('run');
  });

  it('are told when it is refused for good, and of any other failure at once', async () => {
    await expect(begin([() => Promise.reject(lost()), () => Promise.reject(lost())])).rejects.toThrow('taken');
    await expect(begin([() => Promise.reject(new Error('gone'))])).rejects.toThrow('gone');
  });
});
