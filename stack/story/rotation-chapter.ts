import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { parseKeyRing } from '../../config/environment';
import { dataConverterWith } from '../../config/temporal';
import { credentialRotationWorkflowId } from '../../contracts/ids';
import { PartnerProfile } from '../../partners/profile';
import { openDatabase } from '../../prisma/database';
import { revokeNow } from '../../workflows/credential-rotation/start';
import type { Stack } from '../stack';
import { NAMESPACE } from '../temporal-server';
import { APP_CLIENT_ID, RESIDENTS, type TownPartner } from '../town';
import { createAppBackend } from './app-backend';
import { createClient } from './http';
import { onDemandBy, type Cast } from './opening-chapter';

const REPLACED_WITHIN_MS = 60_000;

/** Callers of the traffic at once, and what they ask at the least: before, while and after the secret is replaced. */
const CALLERS = 4;
const OPENINGS_AT_LEAST = 20;

/** Opens the door again and again, each time by an opening of its own and a single request, until it is told to stop. */
function openWithoutPause(stack: Stack, partner: TownPartner) {
  const app = createAppBackend({
    apiUrl: stack.apiUrl,
    caPem: stack.companyCaPem,
    clientId: APP_CLIENT_ID,
    clientSecret: stack.secrets.appClient.value,
    keepTryingMs: 0,
  });
  let made = 0;
  let failed = 0;
  let isOn = true;
  const caller = async (): Promise<void> => {
    while (isOn) {
      const opening = { residentId: RESIDENTS.anna.id };
      const answer = await app.post(`/app/v1/access-points/${partner.doorId}/openings`, opening).catch(() => null);
      made++;
      if (answer?.status !== 200 || answer.body['status'] !== 'opened') failed++;
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  return {
    made: () => made,
    async stop() {
      isOn = false;
      await Promise.all(callers);
      await app.close();
      return { made, failed };
    },
  };
}

/** A secret that we show a partner is revoked under traffic: nothing fails, and the old one is refused (R0.6, R0.13). */
export async function tellRotation(
  { teller, app, sandbox }: Pick<Cast, 'teller' | 'app' | 'sandbox'>,
  partner: TownPartner,
  stack: Stack,
): Promise<void> {
  const { profile, id: partnerId, integration } = partner;
  const name = 'client-secret';
  const workflowId = credentialRotationWorkflowId(partnerId, 'presented', name);
  const database = openDatabase(stack.ownerUrl, 1);
  const connection = await Connection.connect({ address: `127.0.0.1:${stack.ports.temporal.toString()}` });
  const dataConverter = dataConverterWith(parseKeyRing(stack.secrets.payloadKeys.value));
  const client = new Client({ connection, namespace: NAMESPACE, dataConverter });
  const inUse = () =>
    database.secret.findFirstOrThrow({ where: { owner: partnerId, name, state: 'active' }, select: { version: true } });
  const olderLeft = () =>
    database.secret.count({ where: { owner: partnerId, name, state: 'retired', wrapped: { not: null } } });
  try {
    await teller.step(
      {
        name: 'a secret of ours is revoked under traffic, and the partner takes another',
        profile,
        asked: 'signal revokeCredential, and openings without a pause meanwhile',
        expected: 'replaced, 0 openings failed',
      },
      async () => {
        const traffic = openWithoutPause(stack, partner);
        const { version } = await inUse();
        await revokeNow(client, { integration, partnerId, direction: 'presented', name });
        for (const untilMs = Date.now() + REPLACED_WITHIN_MS; Date.now() < untilMs;) {
          await pause(200);
          if ((await inUse()).version > version && (await olderLeft()) === 0 && traffic.made() >= OPENINGS_AT_LEAST) {
            const { failed } = await traffic.stop();
            return { outcome: `replaced, ${failed.toString()} openings failed`, workflowId };
          }
        }
        await traffic.stop();
        return { outcome: 'not replaced in time', workflowId };
      },
    );
    await teller.step(
      {
        name: 'the resident opens with the new secret behind it',
        profile,
        asked: 'POST /app/v1/access-points/{id}/openings',
        expected: 'opened once',
      },
      () => onDemandBy(app, sandbox, partner),
    );
    await teller.step(
      { name: 'the old secret is refused', profile, asked: 'POST /oauth/token at the partner', expected: '401' },
      async () => {
        const row = await database.partner.findUniqueOrThrow({ where: { id: partnerId } });
        const { caPem, baseUrl } = PartnerProfile.parse(row.profile);
        const http = createClient(caPem);
        const basic = Buffer.from(`domovoy:${stack.secrets.toVizorSecret.value}`).toString('base64');
        const answer = await http.send(`${baseUrl}/oauth/token`, {
          method: 'POST',
          headers: {
            authorization: `Basic ${basic}`,
            'content-type': 'application/x-www-form-urlencoded',
            'idempotency-key': randomUUID(),
          },
          body: 'grant_type=client_credentials',
        });
        await http.close();
        return { outcome: answer.status.toString() };
      },
    );
  } finally {
    await Promise.allSettled([connection.close(), database.$disconnect()]);
  }
}
