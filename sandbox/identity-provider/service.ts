import express, { type ErrorRequestHandler } from 'express';
import { z } from 'zod';
import { ControlRefusal, controlInput, createControlApp, openControlPort, pathParameter } from '../control-port';
import { openTlsPort } from '../tls-port';
import { createAccounts } from './accounts';
import type { IdentityProviderConfig } from './config';
import { createProvider, signingKey } from './provider';
import { createSecurityEvents, EVENTS } from './security-events';
import { signInRoutes } from './sign-in';

const EventToSend = z.strictObject({ event: z.enum(EVENTS) });
const AccountChange = z.strictObject({ disabled: z.boolean() });

/** The company's identity provider for its staff, as the product meets it. */
export async function startIdentityProvider(config: IdentityProviderConfig) {
  const accounts = createAccounts(config.accounts);
  const key = signingKey();
  const provider = createProvider(config, accounts, key);
  const events = createSecurityEvents(config, key);

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
  control.put('/control/accounts/:username', async (req, res) => {
    const { disabled } = controlInput(AccountChange, req.body);
    const username = pathParameter(req, 'username');
    if (!accounts.setDisabled(username, disabled)) throw unknownAccount();
    res.json({ disabled, ...(disabled && (await events.tell('account-disabled', subjectOf(username)))) });
  });
  control.post('/control/accounts/:username/events', async (req, res) => {
    const { event } = controlInput(EventToSend, req.body);
    res.json(await events.tell(event, subjectOf(pathParameter(req, 'username'))));
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

  function subjectOf(username: string): string {
    const account = accounts.list().find((each) => each.username === username);
    if (!account) throw unknownAccount();
    return account.subject;
  }

  return {
    port: service.port,
    controlPort: controlPort.port,
    close: async () => {
      await events.close();
      await controlPort.close();
      await service.close();
    },
  };
}

const unknownAccount = (): ControlRefusal =>
  new ControlRefusal(404, 'account', 'There is no such account, or it has no authenticator app.');
