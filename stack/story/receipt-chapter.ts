import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TownPartner } from '../town';
import type { Cast } from './opening-chapter';
import { verified } from './verified';

/**
 * The resident keeps the receipt of a consent and checks it offline, with the command that anybody has (R3.8).
 *
 * @param out folder for `consent-receipt.json`; a temporary one when none is asked for
 */
export async function tellReceipt(
  { teller, app }: Pick<Cast, 'teller' | 'app'>,
  { profile }: TownPartner,
  consentId: string,
  out: string | undefined,
): Promise<void> {
  const folder = out ?? mkdtempSync(join(tmpdir(), 'domovoy-story-'));
  const file = join(folder, 'consent-receipt.json');
  await teller.step(
    {
      name: 'the resident keeps the receipt of the consent, and it is checked offline',
      profile,
      asked: 'GET /app/v1/consents/{id}/receipt; domovoy verify consent-receipt.json --key {published}',
      expected: 'valid',
    },
    async () => {
      const { body } = await app.get(`/app/v1/consents/${consentId}/receipt`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, `${JSON.stringify(body)}\n`);
      return { outcome: await verified(app, file) };
    },
  );
}
