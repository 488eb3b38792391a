import { join } from 'node:path';
import express, { type ErrorRequestHandler } from 'express';
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { openAppendLog } from '../append-log';
import { controlInput, createControlApp, openControlPort } from '../control-port';
import { openTlsPort } from '../tls-port';
import type { SecurityDeskConfig } from './config';

/** How often the desk answers that it failed before it takes messages again. */
const Fault = z.strictObject({ failures: z.int().min(0).max(1_000) });

export type ReceivedAlert = { readonly id: string; readonly at: string; readonly message: Record<string, unknown> };

/**
 * The security team's receiver: takes messages by the Standard Webhooks specification, checks each with the library of
 * that specification, and keeps every message once, whatever is repeated.
 */
export async function startSecurityDesk(config: SecurityDeskConfig) {
  const log = await openAppendLog(join(config.dataDir, 'alerts.jsonl'));
  const received = new Map((log.entries as ReceivedAlert[]).map((entry) => [entry.id, entry]));
  const webhook = new Webhook(config.secret);
  const counts = { taken: 0, repeated: 0, refused: 0, failed: 0 };
  let failures = 0;

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.post('/alerts', express.raw({ type: 'application/json', limit: '64kb' }), async (req, res) => {
    const id = req.get('webhook-id') ?? '';
    const message = verified(req.body, req.headers);
    if (message === null) {
      counts.refused += 1;
      res.status(401).json({ error: 'signature' });
      return;
    }
    if (failures > 0) {
      failures -= 1;
      counts.failed += 1;
      res.status(503).json({ error: 'unavailable' });
      return;
    }
    if (received.has(id)) counts.repeated += 1;
    else {
      const entry = { id, at: new Date().toISOString(), message };
      received.set(id, entry);
      await log.append(entry);
      counts.taken += 1;
    }
    res.status(204).end();
  });
  app.use((_req, res) => {
    res.status(404).json({ error: 'not_found' });
  });
  const onError: ErrorRequestHandler = (_error: unknown, _req, res, _next) => {
    if (res.headersSent) res.destroy();
    else res.status(400).json({ error: 'invalid_request' });
  };
  app.use(onError);

  function verified(body: unknown, headers: Readonly<Record<string, unknown>>): Record<string, unknown> | null {
    try {
      return webhook.verify(body as Buffer, headers as Record<string, string>) as Record<string, unknown>;
    } catch {
      return null;
    }
  }

  const what = 'security desk';
  const service = await openTlsPort(app, { port: config.port, host: config.host, certificate: config.tls, what });
  const control = createControlApp();
  control.get('/health/ready', (_req, res) => {
    res.json({ ready: true });
  });
  control.get('/control/alerts', (_req, res) => {
    res.json({ alerts: [...received.values()], counts });
  });
  control.put('/control/fault', (req, res) => {
    ({ failures } = controlInput(Fault, req.body));
    res.json({ failures });
  });
  const controlPort = await openControlPort(control, config.controlPort, 'security desk control port').catch(
    async (error: unknown) => {
      await service.close();
      throw error;
    },
  );
  return {
    port: service.port,
    controlPort: controlPort.port,
    close: async () => {
      await controlPort.close();
      await service.close();
      await log.close();
    },
  };
}
