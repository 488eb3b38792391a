import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Ports } from '../ports';
import { createClient } from './http';
import type { Sandbox } from './sandbox-control';
import type { StaffBrowser } from './staff-browser';
import { signIn } from './staff-chapter';
import type { Teller } from './teller';

/** More than this in ten minutes is no mistake (monitoring/rules/outside-houses.ts). */
const ASKED = 6;
const PARTNER = 'vizor';
/** A turn of the sealing, a turn of the monitoring, and a restart of whatever is restarted meanwhile. */
const SEEN_WITHIN_MS = 240_000;

/** A partner asks for devices that are not at its houses. */
export async function provokeAlert(sandbox: Sandbox): Promise<void> {
  for (let asked = 0; asked < ASKED; asked++) {
    const body = { clientId: randomUUID(), deviceId: `elsewhere-${asked.toString()}`, action: 'open' };
    await sandbox.callCompany(PARTNER, '/partner/v1/resident-requests', body);
  }
}

type Alert = { readonly alertId: string; readonly kind: string; readonly objectId: string; readonly severity: string };
type Received = { readonly message: { readonly type: string; readonly data: { readonly alertId: string } } };

/** The monitoring notices, the security team is told by a signed message, and a person looks (R0.12). */
export async function tellAlert(cast: {
  readonly teller: Teller;
  readonly openBrowser: () => StaffBrowser;
  readonly passwords: (username: string) => string;
  readonly ports: Ports;
}): Promise<void> {
  const { teller, ports } = cast;
  const desk = createClient(null);
  const security = cast.openBrowser();
  let found: Alert | undefined;
  const step = (name: string, asked: string, expected: string, play: () => Promise<string>) =>
    teller.step({ name, profile: 'staff', asked, expected }, async () => ({ outcome: await play() }));
  const told = async (): Promise<string[]> => {
    const { body } = await desk.send(`http://127.0.0.1:${ports.securityDeskControl.toString()}/control/alerts`, {});
    const received = body['alerts'] as Received[];
    return received.filter(({ message }) => message.data.alertId === found?.alertId).map(({ message }) => message.type);
  };
  const toldOf = async (type: string): Promise<string> => {
    for (const untilMs = Date.now() + SEEN_WITHIN_MS; Date.now() < untilMs;) {
      if ((await told()).includes(type)) return type;
      await pause(500);
    }
    return 'not told';
  };
  teller.chapter('Monitoring: a partner asks for what is not at its houses');
  try {
    await step(
      'the security officer sees the alert',
      'GET /staff/v1/security-alerts',
      'outside-houses: high',
      async () => {
        await signIn(cast, security, 'security');
        for (const untilMs = Date.now() + SEEN_WITHIN_MS; Date.now() < untilMs;) {
          const { body } = await security.get('/staff/v1/security-alerts');
          const alerts = body['alerts'] as Alert[];
          found = alerts.find(({ kind, objectId }) => kind === 'outside-houses' && objectId === PARTNER);
          if (found) return `${found.kind}: ${found.severity}`;
          await pause(1_000);
        }
        return 'no alert';
      },
    );
    await step(
      'the security team has it as a message whose signature is valid',
      'POST /alerts (Standard Webhooks)',
      'security.alert.raised',
      () => toldOf('security.alert.raised'),
    );
    const path = `/staff/v1/security-alerts/${found?.alertId ?? randomUUID()}/acknowledgement`;
    await step('she looks at it, and nobody else is called', `POST ${path}`, 'acknowledged', async () => {
      const { status } = await security.post(path, undefined);
      return status === 200 ? 'acknowledged' : status.toString();
    });
    await step(
      'the security team hears of that, too',
      'POST /alerts (Standard Webhooks)',
      'security.alert.acknowledged',
      () => toldOf('security.alert.acknowledged'),
    );
  } finally {
    await Promise.allSettled([security.close(), desk.close()]);
  }
}
