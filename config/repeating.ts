/**
 * Does something again and again, beside everything else, never twice at once: it keeps no process alive.
 *
 * @param onFailure told of a time that failed; the next one comes all the same
 * @returns `close` ends it and waits for the time that is under way
 */
export function repeating(
  everyMs: number,
  work: () => Promise<void>,
  onFailure: (error: unknown) => void,
): { readonly close: () => Promise<void> } {
  let working = Promise.resolve();
  const timer = setInterval(() => {
    working = working.then(work).catch(onFailure);
  }, everyMs).unref();
  return {
    async close() {
      clearInterval(timer);
      await working;
    },
  };
}
