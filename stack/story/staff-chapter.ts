import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { StackSecrets } from '../secrets';
import { PARTNERS } from '../town';
import type { AppBackend } from './app-backend';
import { tellHours } from './hours-chapter';
import type { Sandbox } from './sandbox-control';
import type { Page, StaffBrowser } from './staff-browser';
import type { Teller } from './teller';

type StaffCast = {
  readonly teller: Teller;
  readonly app: AppBackend;
  readonly sandbox: Sandbox;
  readonly openBrowser: () => StaffBrowser;
  readonly passwords: (username: string) => string;
};

export const staffPasswords =
  ({ staff }: StackSecrets) =>
  (username: string): string =>
    staff.find((person) => person.username === username)?.password.value ?? '';

/** The partner that asks us for every plate: guessing shows at its barrier. */
const vizor = PARTNERS.find(({ id }) => id === 'vizor');
/** Longer than any restart of a process in the story takes. */
const SEEN_WITHIN_MS = 120_000;

/** Staff sign in with a second factor and do what their role includes, and nothing else (R2.3, R4.7 to R4.9, R2.6). */
export async function tellStaff(cast: StaffCast): Promise<void> {
  const { teller, sandbox } = cast;
  if (!vizor) throw new Error('the town has no partner that asks for plates');
  const { barrierId, barrierDeviceId, houseId } = vizor;
  const [newcomer, compliance, operations] = [cast.openBrowser(), cast.openBrowser(), cast.openBrowser()];
  const release = `/staff/v1/identification-locks/${barrierId}/release`;
  const reason = { reason: 'security-incident' };
  const step = (name: string, asked: string, expected: string, play: () => Promise<string>) =>
    teller.step({ name, profile: 'staff', asked, expected }, async () => ({ outcome: await play() }));
  teller.chapter('Staff: who may see and do what');
  try {
    await step('a sign-in without a second factor is refused', 'GET /staff/login', 'second-factor-missing', () =>
      signIn(cast, newcomer, 'newcomer'),
    );
    await step(
      'the compliance officer signs in with password and authenticator app',
      'GET /staff/login',
      'compliance',
      () => signIn(cast, compliance, 'compliance'),
    );
    await step(
      'somebody walks through plates at a barrier, and she sees the alert',
      'GET /staff/v1/security-alerts',
      'guessing-series: plate-walk',
      async () => {
        const walk = platesInARow();
        for (const untilMs = Date.now() + SEEN_WITHIN_MS; Date.now() < untilMs;) {
          const plate = walk.shift();
          if (plate !== undefined) await sandbox.showPlate(vizor.id, barrierDeviceId, plate);
          const { body } = await compliance.get('/staff/v1/security-alerts?open=true');
          const alerts = body['alerts'] as { kind: string; scope: string; objectId: string }[];
          const alert = alerts.find(({ scope, objectId }) => scope === 'plate-walk' && objectId === houseId);
          if (alert && walk.length <= PLATES - WALK) return `${alert.kind}: ${alert.scope}`;
          await pause(200);
        }
        return 'no alert';
      },
    );
    await step('her role does not include releasing the lock', `POST ${release}`, 'refused: role', () =>
      outcomeOf(compliance.post(release, reason)),
    );
    await step('the operations officer releases it', `POST ${release}`, 'released', async () => {
      await signIn(cast, operations, 'operations');
      return outcomeOf(operations.post(release, reason));
    });
    await tellHours({ ...cast, operations, compliance });
  } finally {
    // A story that was cut off must not leave the barrier locked for the next one.
    await operations.post(release, reason).catch(() => undefined);
    await Promise.allSettled([newcomer, compliance, operations].map((browser) => browser.close()));
  }
}

/** @returns the roles of the session, or why there is none */
export async function signIn(
  { passwords }: Pick<StaffCast, 'passwords'>,
  browser: StaffBrowser,
  username: string,
): Promise<string> {
  for (const untilMs = Date.now() + SEEN_WITHIN_MS; Date.now() < untilMs;) {
    const page: Page = await browser.signIn(username, passwords(username));
    if (page.status === 200) return (JSON.parse(page.text) as { roles: string[] }).roles.join();
    const why = /<p id="([\w-]+)">/.exec(page.text)?.[1];
    // The provider keeps a sign-in in memory only: a restart in between asks for another.
    if (page.status === 403 && why !== undefined) return why;
    browser.forget();
    await pause(500);
  }
  return 'no session';
}

async function outcomeOf(answer: Promise<{ status: number; body: Record<string, unknown> }>): Promise<string> {
  const { status, body } = await answer;
  if (status === 200) return 'released';
  return `refused: ${String(body['type']).replace('/problems/', '')}`;
}

/** So many plates that differ in one character are a walk (contracts/lockout.ts: more than three). */
const WALK = 4;
const PLATES = 10;
const platesInARow = (): string[] => {
  const digits = randomInt(10, 100).toString();
  return Array.from({ length: PLATES }, (_, last) => `Е${digits}${last.toString()}КХ99`);
};
