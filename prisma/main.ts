import { readMigrationConfiguration } from '../config/environment';
import { projectFile } from '../config/project-root';
import { migrate } from './migrate';

/** `node prisma/main.js`: brings both databases up to date and ends. The deployment's first job. */
async function main(): Promise<void> {
  const { OWNER_DATABASE_URL, OWNER_KEY_STORE_URL } = readMigrationConfiguration(process.env);
  const applied = [
    // First: whoever sees the new columns wants the key store.
    ...(await migrate(OWNER_KEY_STORE_URL, projectFile('prisma/key-store-migrations'))).map((name) => `keys/${name}`),
    ...(await migrate(OWNER_DATABASE_URL, projectFile('prisma/migrations'))),
  ];
  console.log(applied.length === 0 ? 'The databases are up to date.' : `Applied: ${applied.join(', ')}.`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The migration failed.');
  process.exitCode = 1;
});
