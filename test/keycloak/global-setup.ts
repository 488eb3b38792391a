import { findKeycloak } from '../../stack/keycloak/find';
import setUpServers from '../support/global-setup';

/** What cannot be had is told before anything is started. */
export default async function globalSetup(): Promise<void> {
  process.env['DOMOVOY_KEYCLOAK'] = await findKeycloak(process.env, console.log);
  await setUpServers();
}
