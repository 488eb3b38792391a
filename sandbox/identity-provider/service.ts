import express, { type ErrorRequestHandler } from 'express';
import { z } from 'zod';
import { ControlRefusal, controlInput, createControlApp, openControlPort, pathParameter } from '../control-port';
import { openTlsPort } from '../tls-port';
import { createAccounts } from './accounts';
import type { IdentityProviderConfig } from './config';
import { createProvider } from './provider';
import { signInRoutes } from './sign-in';

const AccountChange = z.strictObject({ disabled: z.boolean() });

/** The company's identity provider for its staff, as the product meets it. */
export async function startIdentityProvider(config: IdentityProviderConfig) {
  const accounts = createAccounts(config.accounts);
  const provider = createProvider(config, accounts);

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(signInRoutes(provider, accounts));
  app.use(provider.callback());
  const onError: ErrorRequestHandler = (error: unknown, _req, res, _next) => {
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const status = error instanceof Error && 'status' in error && typeof error.status === 'number' ? error.status : 500;
    // A sign-in that is over, or that this browser did not begin.
    const over = error instanceof Error && error.name === 'SessionNotFound';
    res.status(over ? 400 : status).json({ error: over || status < 500 ? 'invalid_request' : 'internal' });
  };
  app.use(onError);
  const service = await openTlsPort(app, {
    port: config.port,
    host: config.host,
    certificate: config.tls,
    what: 'staff identity provider',
  });

  const control = createControlApp();
  control.get('/health/ready', (_req, res) => {
    res.json({ ready: true });
  });
  control.get('/control/accounts', (_req, res) => {
    res.json({ accounts: accounts.list() });
  });
  control.put('/control/accounts/:username', (req, res) => {
    const { disabled } = controlInput(AccountChange, req.body);
    if (!accounts.setDisabled(pathParameter(req, 'username'), disabled)) throw unknownAccount();
    res.json({ disabled });
  });
  control.get('/control/accounts/:username/totp', (req, res) => {
    const code = accounts.usableCode(pathParameter(req, 'username'));
    if (code === undefined) throw unknownAccount();
    if (code === null) throw new ControlRefusal(409, 'used', 'Every code of this minute was used; wait for the next.');
    res.json({ code });
  });
  const controlPort = await openControlPort(
    control,
    config.controlPort,
    'control port of the staff identity provider',
  ).catch(async (error: unknown) => {
    await service.close();
    throw error;
  });

  return {
    port: service.port,
    controlPort: controlPort.port,
    close: async () => {
      await controlPort.close();
      await service.close();
    },
  };
}

const unknownAccount = (): ControlRefusal =>
  new ControlRefusal(404, 'account', 'There is no such account, or it has no authenticator app.');
