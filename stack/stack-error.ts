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
    case 'EDQUOT':
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
    case 'EEXIST':
    case 'ENOTDIR':
      return new StackError(
        `A file stands where a folder should be (${doing}).`,
        'Remove it, or choose another folder with DOMOVOY_STATE_DIR.',
      );
    case 'EMFILE':
    case 'ENFILE':
      return new StackError(
        `Too many files are open (${doing}).`,
        'Raise the limit (`ulimit -n 4096`) and start again.',
      );
    default:
      return error;
  }
}

/** As {@link explained}, for work that throws. */
export function explaining<T>(doing: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw explained(error, doing);
  }
}
