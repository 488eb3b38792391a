import { nodeVersionProblem } from './node-version';

// The first import of a program: an older Node stops with a riddle while it loads the ones after it.
const problem = nodeVersionProblem(process.versions.node);
if (problem !== null) {
  console.error(problem);
  process.exit(1);
}
