const { createRequire } = require('node:module');
const { default: Runtime } = require('jest-runtime');

/** These ask Jest which test is running. */
const OF_JEST = new Set(['@jest/globals', '@fast-check/jest']);
const isOurs = (name) => /^\.{0,2}\//.test(name);

/** What is ours is loaded for each test file; packages by Node, once for all files that a process of Jest runs. */
class SharedPackagesRuntime extends Runtime {
  requireModuleOrMock(from, name) {
    return isOurs(name) || OF_JEST.has(name) ? super.requireModuleOrMock(from, name) : createRequire(from)(name);
  }
}

module.exports = SharedPackagesRuntime;
