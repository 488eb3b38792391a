import { readConfig } from '../config-file';
import { runProgram } from '../program';
import { PartnersConfig } from './config';
import { startSimulator } from './simulator';

void runProgram('partners', async (configPath, fail) => {
  const simulator = await startSimulator(readConfig(configPath, PartnersConfig), fail);
  const { kluch, vizor, shlagbaum } = simulator.partners;
  return {
    started: {
      control: `http://127.0.0.1:${String(simulator.controlPort)}`,
      kluch: kluch.url,
      vizor: vizor.url,
      shlagbaum: shlagbaum.url,
    },
    close: () => simulator.close(),
  };
});
