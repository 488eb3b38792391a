import { Gauge, type Registry } from 'prom-client';

/** The figures of a pool of connections, as `pg` keeps them. */
export type PoolFigures = { readonly totalCount: number; readonly idleCount: number; readonly waitingCount: number };

/** Shows the pool of a process. Whoever waits there waits before the first statement: it is the first sign of too few. */
export function showPool(registry: Registry, pool: PoolFigures, size: number): void {
  const connections = new Gauge({
    name: 'domovoy_database_connections',
    help: 'Connections of the pool by what they do, and requests that wait for one.',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      connections.set({ state: 'in-use' }, pool.totalCount - pool.idleCount);
      connections.set({ state: 'idle' }, pool.idleCount);
      connections.set({ state: 'waited-for' }, pool.waitingCount);
    },
  });
  new Gauge({
    name: 'domovoy_database_pool_size',
    help: 'Connections that the pool may have.',
    registers: [registry],
  }).set(size);
}
