/** Told of a request to one system that is no gateway's operation by itself (partners/measured.ts), and is sent all the same. */
export type NoteRequest = (operation: string, outcome: string, durationMs: number) => void;

/**
 * One request, noted with what came of it.
 *
 * @param failureOf names what kept the answer away
 */
export async function notedRequest<T extends { readonly status: number }>(
  note: NoteRequest,
  operation: string,
  send: () => Promise<T>,
  failureOf: (error: unknown) => string,
): Promise<T> {
  const startedMs = performance.now();
  const end = (outcome: string): void => {
    note(operation, outcome, performance.now() - startedMs);
  };
  try {
    const answer = await send();
    end(answer.status < 400 ? 'ok' : `status-${answer.status.toString()}`);
    return answer;
  } catch (error) {
    end(failureOf(error));
    throw error;
  }
}
