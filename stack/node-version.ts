/** The first Node of each line that can `require` the ESM-only libraries, as `engines` says. */
const OLDEST = { major: 20, minor: 20 };

/** @returns the sentence to show when this Node is too old, or `null` */
export function nodeVersionProblem(version: string): string | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const recent = major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor);
  if (recent) return null;
  const wanted = `${OLDEST.major.toString()}.${OLDEST.minor.toString()}`;
  return `This is Node ${version}; Domovoy needs ${wanted} or newer. Install a current Node (22 or newer) and start again.`;
}
