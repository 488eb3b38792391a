const { existsSync } = require('node:fs');
const { join } = require('node:path');

/** Shared by every project: swc compiles, ESM-only packages too. */
const base = {
  testEnvironment: '<rootDir>/test/support/shared-realm-environment.cjs',
  runtime: '<rootDir>/test/support/shared-packages-runtime.cjs',
  transform: {
    '^.+\\.(t|j|mj)sx?$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript', tsx: true }, target: 'es2022' }, module: { type: 'commonjs' } },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.domovoy/'],
};

/** A folder may be on its way; one that is there is always run. */
const hasTests = (name) => existsSync(join(__dirname, 'test', name));

const folder = (name) => ({
  ...base,
  displayName: name,
  roots: [`<rootDir>/test/${name}`],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
});

module.exports = {
  // Much of a test's time is waiting, for a server or for a time-out: three at once leave two cores little to idle.
  maxWorkers: 3,
  // Two cores, real servers: a slow moment is no failure. Nothing waits this long when it works.
  testTimeout: 240_000,
  projects: [
    {
      ...base,
      displayName: 'unit',
      roots: ['<rootDir>'],
      testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/', '<rootDir>/dist/', '<rootDir>/.domovoy/'],
    },
    // The partners' sandbox is all that these need: no database, no Temporal.
    { ...base, displayName: 'partners', roots: ['<rootDir>/test/partners'] },
    ...['replay', 'database', 'workflows', 'api', 'stack'].filter(hasTests).map(folder),
  ],
};
