import type { CredentialRef } from '../contracts/credentials';
import { createAnnouncedCredentialActivities } from './announced-credential';
import { createCredentialRotationActivities, type CredentialRotationActivities } from './credential-rotation';

/** The steps of every rotation of an integration, whoever makes the successor: we, or the partner. */
export function createRotationActivities(
  deps: Parameters<typeof createCredentialRotationActivities>[0],
): CredentialRotationActivities {
  const ours = createCredentialRotationActivities(deps);
  const theirs = createAnnouncedCredentialActivities(deps);
  const of = ({ direction }: CredentialRef): CredentialRotationActivities =>
    direction === 'announced' ? theirs : ours;
  return {
    rotatingCredentials: async () => [...(await ours.rotatingCredentials()), ...(await theirs.rotatingCredentials())],
    settleStoredCredentials: () => ours.settleStoredCredentials(),
    credentialStanding: (credential) => of(credential).credentialStanding(credential),
    issueCredential: (credential, at) => of(credential).issueCredential(credential, at),
    deliverCredential: (credential, version) => of(credential).deliverCredential(credential, version),
    proveCredential: (credential, version) => of(credential).proveCredential(credential, version),
    useCredential: (credential, version) => of(credential).useCredential(credential, version),
    acceptOnly: (credential, version) => of(credential).acceptOnly(credential, version),
    retireOlder: (credential, keep) => of(credential).retireOlder(credential, keep),
    proveRefused: (credential, keep) => of(credential).proveRefused(credential, keep),
    raiseExpiryAlarm: (credential, day, at) => of(credential).raiseExpiryAlarm(credential, day, at),
  };
}
