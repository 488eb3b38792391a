import type { WorkflowClientInterceptor } from '@temporalio/client';
import { defaultPayloadConverter, type Headers } from '@temporalio/common';
import { CORRELATION_HEADER } from '../contracts/correlation';
import { correlation } from './correlation';

/** Sends whose request it is with every execution that is begun. */
export const correlatedClient: WorkflowClientInterceptor = {
  startWithDetails: (input, next) => next({ ...input, headers: carrying(input.headers) }),
  signalWithStart: (input, next) => next({ ...input, headers: carrying(input.headers) }),
  startUpdateWithStart: (input, next) => next({ ...input, workflowStartHeaders: carrying(input.workflowStartHeaders) }),
};

function carrying(headers: Headers): Headers {
  const known = correlation();
  if (!known) return headers;
  const { id, traceparent } = known;
  const carried = { id, ...(traceparent !== undefined && { traceparent }) };
  return { ...headers, [CORRELATION_HEADER]: defaultPayloadConverter.toPayload(carried) };
}
