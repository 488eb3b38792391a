import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import express, { type ErrorRequestHandler } from 'express';
import { z } from 'zod';
import { controlInput, createControlApp, openControlPort, pathParameter } from '../control-port';
import { openTlsPort } from '../tls-port';
import { isOneOf, secretHash } from '../same-secret';
import { openAccounts } from './accounts';
import { Standing, type BillingConfig } from './config';

/** How billing can misbehave; `times: null` until it is taken away. */
const Fault = z.strictObject({
  fault: z.enum(['delay', 'hang', 'error', 'garbage']),
  times: z.int().positive().nullable().default(null),
  delayMs: z.int().min(0).max(3_600_000).default(1_000),
});
type Fault = z.infer<typeof Fault>;

const StandingChange = z.strictObject({ standing: Standing });

/** Billing: says whether an account has paid for a service, to whoever bears the secret. */
export async function startBilling(config: BillingConfig) {
  const accounts = openAccounts(config.dataDir, config.accounts);
  const accepted = config.secrets.map(secretHash);
  const stopping = new AbortController();
  const calls = { total: 0, paid: 0, unpaid: 0, unknown: 0, unauthorized: 0, faulted: 0 };
  let fault: Fault | null = null;

  function strike(): Fault | null {
    if (fault === null) return null;
    const striking = fault;
    if (striking.times !== null) fault = striking.times > 1 ? { ...striking, times: striking.times - 1 } : null;
    calls.faulted += 1;
    return striking;
  }

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.get('/billing/v1/accounts/:accountId/services/:service', async (req, res) => {
    calls.total += 1;
    const secret = /^Bearer ([\x21-\x7e]+)$/i.exec(req.get('authorization') ?? '')?.[1];
    if (secret === undefined || !isOneOf(secret, accepted)) {
      calls.unauthorized += 1;
      res.status(401).set('www-authenticate', 'Bearer').json({ error: 'unauthorized' });
      return;
    }
    const striking = strike();
    if (striking?.fault === 'delay') await sleep(striking.delayMs, undefined, { signal: stopping.signal });
    if (striking?.fault === 'hang') {
      await once(res, 'close');
      return;
    }
    if (striking?.fault === 'error') {
      res.status(503).json({ error: 'unavailable' });
      return;
    }
    if (striking?.fault === 'garbage') {
      res.type('application/json').send('{"standing": [,');
      return;
    }
    const accountId = pathParameter(req, 'accountId');
    const service = pathParameter(req, 'service');
    const standing = accounts.standing(accountId, service);
    calls[standing ?? 'unknown'] += 1;
    res.set('cache-control', 'no-store');
    if (standing === undefined) res.status(404).json({ error: 'unknown' });
    else res.json({ accountId, service, standing, asOf: new Date().toISOString() });
  });
  app.use((_req, res) => {
    res.status(404).json({ error: 'not_found' });
  });
  const onError: ErrorRequestHandler = (error: unknown, _req, res, _next) => {
    if (res.headersSent || stopping.signal.aborted) {
      res.destroy();
      return;
    }
    const badRequest = error instanceof URIError;
    res.status(badRequest ? 400 : 500).json({ error: badRequest ? 'invalid_request' : 'internal' });
  };
  app.use(onError);

  const service = await openTlsPort(app, {
    port: config.port,
    host: config.host,
    certificate: config.tls,
    what: 'billing',
  });

  const control = createControlApp();
  control.get('/health/ready', (_req, res) => {
    res.json({ ready: true });
  });
  control.put('/control/accounts/:accountId/services/:service', async (req, res) => {
    const { standing } = controlInput(StandingChange, req.body);
    const accountId = pathParameter(req, 'accountId');
    const changed = pathParameter(req, 'service');
    await accounts.set(accountId, changed, standing);
    res.json({ accountId, service: changed, standing });
  });
  control.get('/control/calls', (_req, res) => {
    res.json(calls);
  });
  control.get('/control/fault', (_req, res) => {
    res.json({ fault });
  });
  control.put('/control/fault', (req, res) => {
    fault = controlInput(Fault, req.body);
    res.json({ fault });
  });
  control.delete('/control/fault', (_req, res) => {
    fault = null;
    res.status(204).end();
  });
  const controlPort = await openControlPort(control, config.controlPort, 'billing control port').catch(
    async (error: unknown) => {
      await service.close();
      throw error;
    },
  );

  return {
    port: service.port,
    controlPort: controlPort.port,
    close: async () => {
      stopping.abort();
      await controlPort.close();
      await service.close();
    },
  };
}
