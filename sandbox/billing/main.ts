import { readConfig } from '../config-file';
import { runProgram } from '../program';
import { BillingConfig } from './config';
import { startBilling } from './service';

void runProgram('billing', async (configPath) => {
  const billing = await startBilling(readConfig(configPath, BillingConfig));
  return {
    started: {
      billing: `https://localhost:${String(billing.port)}`,
      control: `http://127.0.0.1:${String(billing.controlPort)}`,
    },
    close: () => billing.close(),
  };
});
