import { RESIDENTS, type TownPartner } from '../town';
import type { Cast } from './opening-chapter';

/** The partner's plugin starts in the app, and the partner asks whether its token is what it says (R0.1 to R0.3). */
export async function tellPlugin(
  { teller, app, sandbox }: Pick<Cast, 'teller' | 'app' | 'sandbox'>,
  partner: TownPartner,
): Promise<void> {
  const { profile, id: partnerId } = partner;
  const { anna, boris } = RESIDENTS;
  const start = async (residentId: string) =>
    (await app.post('/app/v1/plugin-sessions', { residentId, partnerId })).body;
  const check = async (body: { token: unknown; clientId: unknown }): Promise<string> => {
    const answer = await sandbox.callCompany(partnerId, '/partner/v1/plugin-tokens/verifications', body);
    return answer.status === 200 && answer.body['valid'] === true ? 'valid' : 'not valid';
  };
  let session: Record<string, unknown> = {};

  await teller.step(
    {
      name: 'the plugin starts in the app, and the partner recognizes its token',
      profile,
      asked: 'POST /app/v1/plugin-sessions; POST /partner/v1/plugin-tokens/verifications',
      expected: 'valid',
    },
    async () => {
      session = await start(anna.id);
      return { outcome: await check({ token: session['token'], clientId: session['clientId'] }) };
    },
  );
  await teller.step(
    {
      name: 'the token comes with the client id of another resident',
      profile,
      asked: 'POST /partner/v1/plugin-tokens/verifications',
      expected: 'not valid',
    },
    async () => {
      const other = await start(boris.id);
      return { outcome: await check({ token: session['token'], clientId: other['clientId'] }) };
    },
  );
}
