import { DAYS_OF_WEEK } from '../../contracts/staff';
import { partnerById, RESIDENTS } from '../town';
import { onDemand, type Cast } from './opening-chapter';
import type { StaffBrowser } from './staff-browser';
import type { Told } from './teller';

type HoursCast = Pick<Cast, 'teller' | 'app' | 'sandbox'> & {
  /** Signed in both. */
  readonly operations: StaffBrowser;
  readonly compliance: StaffBrowser;
};

/** Operations set when a door opens; compliance sees that rule, and what is blocked, without asking anybody. */
export async function tellHours({ teller, app, sandbox, operations, compliance }: HoursCast): Promise<void> {
  const partner = partnerById('vizor');
  const hours = `/staff/v1/access-points/${partner.doorId}/visiting-hours`;
  const bound = { reason: 'house-request', rightKind: null };
  const step = (name: string, asked: string, expected: string, play: () => Promise<Told>) =>
    teller.step({ name, profile: 'staff', asked, expected }, play);
  const open = () => onDemand(app, sandbox, partner, RESIDENTS.anna.id);
  try {
    await step(
      'a resident comes outside of the hours of a door',
      `POST ${hours}`,
      'denied: outside-hours',
      async () => {
        await operations.post(hours, { ...bound, hours: [{ days: [dayFarOff()], from: '08:00', to: '22:00' }] });
        return open();
      },
    );
    await step(
      'the compliance officer reads which rules there are',
      'GET /staff/v1/access-rules',
      'hours',
      async () => {
        const { body } = await compliance.get('/staff/v1/access-rules');
        const rules = body['accessPoints'] as { accessPointId: string; hours: unknown[]; block: unknown }[];
        const rule = rules.find(({ accessPointId }) => accessPointId === partner.doorId);
        return { outcome: rule?.hours.length === 1 && rule.block === null ? 'hours' : 'no such rule' };
      },
    );
    await step('the hours are removed, and it opens', `POST ${hours}/removal`, 'opened once', async () => {
      await operations.post(`${hours}/removal`, bound);
      return open();
    });
  } finally {
    // A story that was cut off must not leave the door to its hours.
    await operations.post(`${hours}/removal`, bound).catch(() => undefined);
  }
}

/** Not within a day from now, by whatever clock. */
const dayFarOff = (): string => DAYS_OF_WEEK[(new Date().getUTCDay() + 2) % DAYS_OF_WEEK.length] ?? 'monday';
