import type { Context } from '@temporalio/activity';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';

/**
 * Says that an activity is still at work, for as long as its worker lives: where a workflow wants to be told
 * (`heartbeatTimeout`), the step of a worker that was killed is given to another one soon, however long it may take.
 */
export const heartbeats: ActivityInterceptorsFactory = (context: Context) => ({
  inbound: {
    async execute(input, next) {
      const { heartbeatTimeoutMs } = context.info;
      if (heartbeatTimeoutMs === undefined || heartbeatTimeoutMs === 0) return next(input);
      const beat = setInterval(() => {
        context.heartbeat();
      }, heartbeatTimeoutMs / 4);
      try {
        return await next(input);
      } finally {
        clearInterval(beat);
      }
    },
  },
});
