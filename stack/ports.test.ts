import { createServer, type AddressInfo, type Server } from 'node:net';
import { assertPortsFree, stackPorts } from './ports';
import { StackError } from './stack-error';

const servers: Server[] = [];
afterAll(() => Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve)))));

async function takenPort(): Promise<number> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

describe('the ports of the stack', () => {
  it('are all different', () => {
    const ports = Object.values(stackPorts({}));
    expect(new Set(ports).size).toBe(ports.length);
  });

  it('are all shifted by DOMOVOY_PORT_OFFSET', () => {
    const [usual, shifted] = [stackPorts({}), stackPorts({ DOMOVOY_PORT_OFFSET: '100' })];
    for (const name of Object.keys(usual) as (keyof typeof usual)[]) expect(shifted[name]).toBe(usual[name] + 100);
  });

  it.each(['x', '-1', '1.5', '99999'])('refuses %s as an offset', (offset) => {
    expect(() => stackPorts({ DOMOVOY_PORT_OFFSET: offset })).toThrow(StackError);
  });

  it('names a taken port, what wants it, who holds it, and the remedy', async () => {
    const taken = await takenPort();
    const problem = assertPortsFree({ ...stackPorts({}), api: taken });
    await expect(problem).rejects.toThrow(`Port ${taken.toString()}, wanted for the API, is taken`);
    await expect(problem).rejects.toThrow(/DOMOVOY_PORT_OFFSET=100/);
    if (process.platform === 'linux') await expect(problem).rejects.toThrow(`node (process ${process.pid.toString()})`);
  });
});
