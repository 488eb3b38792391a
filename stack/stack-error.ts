/** Something that the person at the keyboard can mend: one sentence that names it, and the remedy. */
export class StackError extends Error {
  override readonly name = 'StackError';
  constructor(problem: string, remedy: string) {
    super(`${problem} ${remedy}`);
  }
}

/** @returns a sentence for errors of the operating system that a person can mend; the error itself otherwise */
export function explained(error: unknown, doing: string): unknown {
  const { code } = error as { code?: string };
  switch (code) {
    case 'ENOSPC':
      return new StackError(`The disk is full (${doing}).`, 'Free some space and start again.');
    case 'EACCES':
    case 'EPERM':
      return new StackError(
        `The file system does not permit it (${doing}).`,
        'Choose another folder with DOMOVOY_STATE_DIR, or mend its owner.',
      );
    case 'EROFS':
      return new StackError(
        `The file system is read-only (${doing}).`,
        'Choose another folder with DOMOVOY_STATE_DIR.',
      );
    default:
      return error;
  }
}
