import { countedIn } from './processor-time';

describe('the processor time of a process', () => {
  it('is read past a name that holds brackets and blanks, with that of children that have ended', () => {
    const fields = ['S', '41', ...Array.from({ length: 9 }, () => '7'), '120', '30', '50', '4', '20'];
    expect(countedIn(42, `42 (a) name (of) 1 2) ${fields.join(' ')}`)).toEqual({
      pid: 42,
      parent: 41,
      ownMs: 1_500,
      endedChildrenMs: 540,
    });
  });
});
