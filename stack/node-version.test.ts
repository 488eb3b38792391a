import { nodeVersionProblem } from './node-version';

describe('the version of Node', () => {
  it.each(['20.20.0', '20.20.2', '22.1.0', '24.0.0'])('%s is recent enough', (version) => {
    expect(nodeVersionProblem(version)).toBeNull();
  });
  it.each(['18.20.4', '20.19.9', '16.0.0'])('%s is refused with the one that is needed', (version) => {
    expect(nodeVersionProblem(version)).toMatch(/needs 20\.20 or newer/);
  });
});
