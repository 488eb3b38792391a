import { readConfig } from '../config-file';
import { runProgram } from '../program';
import { SecurityDeskConfig } from './config';
import { startSecurityDesk } from './service';

void runProgram('security-desk', async (configPath) => {
  const desk = await startSecurityDesk(readConfig(configPath, SecurityDeskConfig));
  return {
    started: {
      securityDesk: `https://localhost:${String(desk.port)}`,
      control: `http://127.0.0.1:${String(desk.controlPort)}`,
    },
    close: () => desk.close(),
  };
});
