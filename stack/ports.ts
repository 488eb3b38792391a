import { createServer } from 'node:net';
import { listenerOf } from './port-holder';
import { StackError } from './stack-error';

const DEFAULTS = {
  api: 8443,
  postgres: 54320,
  temporal: 7233,
  temporalUi: 8233,
  temporalUiPlain: 8234,
  apiHealth: 9100,
  smartHomeHealth: 9101,
  communalHealth: 9102,
  coreHealth: 9103,
  sandboxControl: 9440,
  kluch: 9441,
  vizor: 9442,
  shlagbaum: 9443,
  billing: 9450,
  billingControl: 9451,
  identityProvider: 9460,
  identityProviderControl: 9461,
  securityDesk: 9470,
  securityDeskControl: 9471,
} as const;

/** Every port of the stack, by name. */
export const PORT_NAMES = Object.keys(DEFAULTS) as readonly (keyof typeof DEFAULTS)[];
export type Ports = Readonly<Record<keyof typeof DEFAULTS, number>>;

/** What the person who reads an error knows each port as. */
const WANTED_FOR: Readonly<Record<keyof Ports, string>> = {
  api: 'the API',
  postgres: 'PostgreSQL',
  temporal: 'Temporal',
  temporalUi: "Temporal's UI",
  temporalUiPlain: "Temporal's UI before TLS",
  apiHealth: "the API's health",
  smartHomeHealth: "the smart-home worker's health",
  communalHealth: "the communal worker's health",
  coreHealth: "the core worker's health",
  sandboxControl: "the sandbox's control",
  kluch: 'the partner kluch',
  vizor: 'the partner vizor',
  shlagbaum: 'the partner shlagbaum',
  billing: 'billing',
  billingControl: "billing's control",
  identityProvider: 'the staff identity provider',
  identityProviderControl: "the staff identity provider's control",
  securityDesk: 'the security desk',
  securityDeskControl: "the security desk's control",
};

/** The ports of the local stack, all shifted by DOMOVOY_PORT_OFFSET so that two stacks can live side by side. */
export function stackPorts(env: NodeJS.ProcessEnv): Ports {
  const offset = Number(env['DOMOVOY_PORT_OFFSET'] ?? 0);
  if (!Number.isInteger(offset) || offset < 0 || offset > 10_000) {
    throw new StackError('DOMOVOY_PORT_OFFSET is not a whole number from 0 to 10000.', 'Correct it, or leave it out.');
  }
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, port]) => [name, port + offset])) as Ports;
}

/** @throws StackError that names the first port that is taken, by whom as far as can be seen, and the remedy */
export async function assertPortsFree(ports: Ports): Promise<void> {
  for (const name of Object.keys(WANTED_FOR) as (keyof Ports)[]) {
    const port = ports[name];
    if (await isFree(port)) continue;
    const holder = listenerOf(port);
    throw new StackError(
      `Port ${port.toString()}, wanted for ${WANTED_FOR[name]}, is taken${holder === null ? '' : ` by ${holder}`}.`,
      'Stop what holds it, or shift all ports with DOMOVOY_PORT_OFFSET=100.',
    );
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
      .once('error', () => {
        resolve(false);
      })
      .listen(port, '127.0.0.1', () => {
        probe.close(() => {
          resolve(true);
        });
      });
  });
}
