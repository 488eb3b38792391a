import { explained, explaining, StackError } from './stack-error';

const systemError = (code: string) => Object.assign(new Error(`${code}: a riddle, open '/x'`), { code });

describe('an error of the operating system', () => {
  it.each([
    ['ENOSPC', 'The disk is full (writing x). Free some space and start again.'],
    ['EDQUOT', 'The disk is full (writing x). Free some space and start again.'],
    ['EROFS', 'The file system is read-only (writing x). Choose another folder with DOMOVOY_STATE_DIR.'],
    ['EACCES', 'The file system does not permit it (writing x). Choose another folder with DOMOVOY_STATE_DIR, or mend'],
    ['EPERM', 'The file system does not permit it (writing x). Choose another folder with DOMOVOY_STATE_DIR, or mend'],
    ['ENOTDIR', 'A file stands where a folder should be (writing x). Remove it, or choose another folder with'],
    ['EMFILE', 'Too many files are open (writing x). Raise the limit (`ulimit -n 4096`) and start again.'],
  ])('%s is one sentence that names the trouble, and the remedy', (code, sentence) => {
    const told = explained(systemError(code), 'writing x');
    expect(told).toBeInstanceOf(StackError);
    expect((told as Error).message).toContain(sentence);
  });

  it('that nobody at the keyboard can mend stays what it is', () => {
    const bug = systemError('ERR_INVALID_ARG_TYPE');
    expect(explained(bug, 'writing x')).toBe(bug);
    expect(() =>
      explaining('writing x', () => {
        throw bug;
      }),
    ).toThrow(bug);
  });
});
