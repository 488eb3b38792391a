/** Why a sandbox program cannot start or go on, in one sentence a person can act on. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure';
}

/** The system's error code (`EADDRINUSE`, `ENOENT`, …), if there is one. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
