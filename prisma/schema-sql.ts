import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import { PrismaPg } from '@prisma/adapter-pg';
import * as engineModule from '@prisma/schema-engine-wasm/schema_engine_bg';

/** The parts used here of an engine that Prisma ships without types for this entry point. */
type SchemaEngine = {
  diff(request: unknown): Promise<{ stdout: string | null; exitCode: number }>;
};

/** Node's types leave WebAssembly to the browser's library, which has no place in a server's configuration. */
type WebAssemblyApi = {
  instantiate(
    bytes: Buffer,
    imports: object,
  ): Promise<{ instance: { exports: Record<string, (() => void) | undefined> } }>;
};

/**
 * The SQL that makes the tables of schema.prisma from nothing. Prisma's native engine is in no package registry, its
 * WebAssembly build is; that build cannot describe an existing database (it fails on the type "char"), so differences
 * are found by comparing two databases (test/database/migrations.test.ts, docs/adr/0004).
 *
 * @param root the project's folder
 * @param url any PostgreSQL that can be reached: the engine asks it for its version
 */
export async function schemaSql(root: string, url: string): Promise<string> {
  const wasm = readFileSync(
    createRequire(join(root, 'package.json'))
      .resolve('@prisma/schema-engine-wasm/schema_engine_bg')
      .replace(/\.js$/, '.wasm'),
  );
  const engine = engineModule as unknown as Record<string, unknown> & {
    __wbg_set_wasm(exports: unknown): void;
    SchemaEngine: { new: (...args: unknown[]) => Promise<SchemaEngine> };
  };
  const { WebAssembly } = globalThis as unknown as { WebAssembly: WebAssemblyApi };
  const { instance } = await WebAssembly.instantiate(wasm, { './schema_engine_bg.js': engineModule });
  engine.__wbg_set_wasm(instance.exports);
  instance.exports['__wbindgen_start']?.();

  const content = readFileSync(join(root, 'prisma/schema.prisma'), 'utf8');
  const factory = bindMigrationAwareSqlAdapterFactory(new PrismaPg({ connectionString: url }));
  const schemaEngine = await engine.SchemaEngine.new(
    { datamodels: [['schema.prisma', content]] },
    () => undefined,
    factory,
  );
  const answer = await schemaEngine.diff({
    from: { tag: 'empty' },
    to: { tag: 'schemaDatamodel', files: [{ path: 'schema.prisma', content }] },
    script: true,
    shadowDatabaseUrl: null,
    exitCode: null,
    filters: { externalTables: [], externalEnums: [] },
  });
  return answer.stdout ?? '';
}
