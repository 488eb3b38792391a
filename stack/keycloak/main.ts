import { findKeycloak } from './find';

/** Whether Keycloak is to be had, for who wants to know before the check: no word of it on the way is a failure of ours. */
findKeycloak(process.env, console.log).then(
  (folder) => {
    console.log(`Keycloak: ${folder}`);
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
