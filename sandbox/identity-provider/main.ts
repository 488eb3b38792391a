import { readConfig } from '../config-file';
import { runProgram } from '../program';
import { IdentityProviderConfig } from './config';
import { startIdentityProvider } from './service';

void runProgram('identity-provider', async (configPath) => {
  const config = readConfig(configPath, IdentityProviderConfig);
  const identityProvider = await startIdentityProvider(config);
  return {
    started: {
      identityProvider: config.issuer,
      control: `http://127.0.0.1:${String(identityProvider.controlPort)}`,
    },
    close: () => identityProvider.close(),
  };
});
