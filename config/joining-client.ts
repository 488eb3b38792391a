import { WorkflowExecutionAlreadyStartedError, type WorkflowClientInterceptor } from '@temporalio/client';

/**
 * Of two that begin an execution by a signal at once, both may find none, and the server refuses the one that comes
 * second: asked again, it joins the execution of the other.
 */
export const joiningClient: WorkflowClientInterceptor = {
  signalWithStart: async (input, next) => {
    try {
      return await next(input);
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return next(input);
    }
  },
};
