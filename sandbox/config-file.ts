import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { z } from 'zod';
import { StartFailure } from './start-failure';

/**
 * Reads a program's configuration. A member named `somethingFile` stands for `something` with the text of that file, so
 * secrets need not be in the configuration itself; so does a `cert`, `key`, `clientCa` or `ca` that is no PEM text. A
 * relative path is looked up beside the configuration.
 */
export function readConfig<T>(configPath: string, schema: z.ZodType<T>): T {
  const absolute = path.resolve(configPath);
  const raw = parsedJson(readText(absolute), absolute);
  const parsed = schema.safeParse(withFilesRead(raw, path.dirname(absolute)));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new StartFailure(
    `the configuration is wrong at ${issue?.path.map(String).join('.') ?? 'its root'}: ${issue?.code ?? 'unreadable'}`,
  );
}

const PEM_MEMBERS = new Set(['cert', 'key', 'clientCa', 'ca']);

/** Replaces every `xFile: path` by `x: text of the file`. */
export function withFilesRead(value: unknown, folder: string): unknown {
  if (Array.isArray(value)) return value.map((each: unknown) => withFilesRead(each, folder));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) =>
      name.endsWith('File') && typeof member === 'string'
        ? [name.slice(0, -'File'.length), readText(path.resolve(folder, member)).trimEnd()]
        : PEM_MEMBERS.has(name) && typeof member === 'string' && !member.includes('-----BEGIN ')
          ? [name, readText(path.resolve(folder, member))]
          : [name, withFilesRead(member, folder)],
    ),
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new StartFailure(`cannot read ${file}`);
  }
}

function parsedJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new StartFailure(`${file} is not JSON`);
  }
}
