const { projects, ...shared } = require('./jest.config.cjs');

/** Besides `npm test`, because it takes minutes and a download: `npm run check:keycloak` (docs/adr/0092). */
const api = projects.find(({ displayName }) => displayName === 'api');
module.exports = {
  ...shared,
  projects: [
    {
      ...api,
      displayName: 'keycloak',
      roots: ['<rootDir>/test/keycloak'],
      globalSetup: '<rootDir>/test/keycloak/global-setup.ts',
    },
  ],
};
