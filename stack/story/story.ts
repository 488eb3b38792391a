import { readFileSync } from 'node:fs';
import { projectFile } from '../../config/project-root';
import type { Stack } from '../stack';
import { APP_CLIENT_ID, PARTNERS } from '../town';
import { provokeAlert, tellAlert } from './alert-chapter';
import { createAppBackend, createRegistryBackend } from './app-backend';
import { tellCanaries } from './canary-chapter';
import { tellEquipment } from './equipment-chapter';
import { tellErasure } from './erasure-chapter';
import { tellGovernance } from './governance-chapter';
import { tellJournal } from './journal-chapter';
import { tellOpening } from './opening-chapter';
import { tellPlugin } from './plugin-chapter';
import { tellReceipt } from './receipt-chapter';
import { tellPlates } from './plate-chapter';
import { tellSale } from './sale-chapter';
import { tellRotation } from './rotation-chapter';
import { createSandbox } from './sandbox-control';
import { createStaffBrowser } from './staff-browser';
import { staffPasswords, tellStaff } from './staff-chapter';
import { createTeller } from './teller';
import { tellClassicWays, tellRelay, tellWays } from './ways-chapter';
import { tellWithdrawal } from './withdrawal-chapter';

/**
 * Plays the living story of the product over real HTTP and TLS, chapter by chapter.
 *
 * @param out folder for `story.json` and `journal.jsonl`
 * @returns whether every step came out as expected
 */
export async function tellStory(
  stack: Stack,
  print: (line: string) => void,
  out: string | undefined,
): Promise<boolean> {
  const teller = createTeller(print, (workflowId) => stack.linkTo(workflowId));
  const app = createAppBackend({
    apiUrl: stack.apiUrl,
    caPem: stack.companyCaPem,
    clientId: APP_CLIENT_ID,
    clientSecret: stack.secrets.appClient.value,
  });
  const registry = createRegistryBackend({
    apiUrl: stack.apiUrl,
    caPem: stack.companyCaPem,
    clientSecret: stack.secrets.registryClient.value,
    signingKeyPem: stack.secrets.registrySigningKey.value,
  });
  const sandbox = createSandbox({ controlUrl: `http://127.0.0.1:${stack.ports.sandboxControl.toString()}` });
  const openBrowser = () =>
    createStaffBrowser({
      apiUrl: stack.apiUrl,
      caPem: stack.companyCaPem,
      identityProviderControlUrl: `http://127.0.0.1:${stack.ports.identityProviderControl.toString()}`,
    });
  const photo = (name: string): Buffer => readFileSync(projectFile(`sandbox/media/${name}.jpg`));
  const photos = { resident: photo('resident'), stranger: photo('stranger') };
  const cast = { teller, app, sandbox, photos };
  try {
    await teller.play(async () => {
      // Found by the next turn of the monitoring, and told of at the end.
      await provokeAlert(sandbox);
      for (const partner of PARTNERS) {
        const consentId = await tellOpening(cast, partner);
        await tellPlates(cast, partner);
        if (partner.profile === 'oauth-client') await tellWays(cast, partner);
        await tellRelay(cast, partner);
        await tellClassicWays(cast, partner);
        await tellEquipment(cast, partner);
        if (partner.profile === 'oauth-client') await tellRotation(cast, partner, stack);
        if (partner.profile === 'basic-signed') {
          // The documents ask for both of this profile.
          await tellReceipt(cast, partner, consentId, out);
          await tellPlugin(cast, partner);
        }
        await tellWithdrawal(cast, partner, consentId);
      }
      await tellSale(cast, registry);
      await tellStaff({ teller, app, sandbox, openBrowser, passwords: staffPasswords(stack.secrets) });
      await tellGovernance({ teller, sandbox, stack, openBrowser, passwords: staffPasswords(stack.secrets) });
      await tellErasure(cast, stack, out);
      await tellAlert({ teller, openBrowser, passwords: staffPasswords(stack.secrets), ports: stack.ports });
      await tellJournal(teller, stack, out);
      await tellCanaries(teller, stack);
    });
  } finally {
    await Promise.allSettled([app.close(), registry.close(), sandbox.close()]);
  }
  if (out !== undefined) teller.write(out);
  print('');
  print(teller.asExpected() ? 'Every step came out as expected.' : 'Not every step came out as expected.');
  return teller.asExpected();
}
