import { readMigrationConfiguration } from '../config/environment';
import { projectFile } from '../config/project-root';
import { migrate } from './migrate';

/** `node prisma/main.js`: brings the database up to date and ends. The deployment's first job. */
async function main(): Promise<void> {
  const applied = await migrate(
    readMigrationConfiguration(process.env).OWNER_DATABASE_URL,
    projectFile('prisma/migrations'),
  );
  console.log(applied.length === 0 ? 'The database is up to date.' : `Applied: ${applied.join(', ')}.`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : 'The migration failed.');
  process.exitCode = 1;
});
