/**
 * Calls `stop` once, when the process is asked to end: SIGTERM, SIGINT, or the end of the program that started it (the
 * local stack keeps an IPC channel open; when that closes, nobody would end us any more).
 */
export function onShutdown(stop: (reason: string) => void): void {
  let asked = false;
  const once = (reason: string) => () => {
    if (asked) return;
    asked = true;
    stop(reason);
  };
  process.on('SIGTERM', once('SIGTERM'));
  process.on('SIGINT', once('SIGINT'));
  process.on('disconnect', once('parent gone'));
}

/** Lets go of the parent's channel, which would keep a process alive that has nothing left to do. */
export function releaseParent(): void {
  if (process.connected) process.disconnect();
}
