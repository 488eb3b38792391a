import { readOwnerConfiguration } from '../config/environment';
import { projectRoot } from '../config/project-root';
import { schemaSql } from './schema-sql';

/** `npm run db:sql`: the SQL of schema.prisma's tables, to copy what is new from it into a migration. */
schemaSql(projectRoot(), readOwnerConfiguration(process.env).OWNER_DATABASE_URL)
  .then((sql) => {
    console.log(sql);
  })
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : 'The schema could not be read.');
    process.exitCode = 1;
  });
