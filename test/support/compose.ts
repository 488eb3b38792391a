import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { projectFile } from '../../config/project-root';

export type Service = {
  readonly build?: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
};

export type Compose = {
  readonly services: Readonly<Record<string, Service>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};

type Variables = Readonly<Record<string, string | undefined>>;

export const composeText = (): string => readFileSync(projectFile('docker-compose.yml'), 'utf8');

/**
 * docker-compose.yml as compose reads it.
 *
 * @throws an Error with compose's own words for a variable that is missing and has to be there
 */
export function composeWith(variables: Variables): Compose {
  return resolved(parse(composeText(), { merge: true }), variables) as Compose;
}

function resolved(node: unknown, variables: Variables): unknown {
  if (typeof node === 'string') return interpolated(node, variables);
  if (Array.isArray(node)) return node.map((each) => resolved(each, variables));
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node).flatMap(([name, value]) => {
      // A variable without a value is passed on as it is, or is not there.
      const passed: unknown = value === null ? variables[name] : resolved(value, variables);
      return passed === undefined ? [] : [[name, passed]];
    }),
  );
}

/** `${NAME}`, `${NAME:-default}`, `${NAME-default}` and `${NAME:?complaint}`; `$$` is a dollar sign. */
function interpolated(text: string, variables: Variables): string {
  return text.replaceAll(
    /\$\$|\$\{(\w+)(?:(:?[-?])([^}]*))?\}/g,
    (whole, name?: string, sign?: string, rest?: string) => {
      if (name === undefined) return whole.slice(1);
      const value = variables[name];
      if (value !== undefined && (value !== '' || !sign?.startsWith(':'))) return value;
      if (sign?.endsWith('?')) throw new Error(`${name} is missing: ${rest ?? ''}`);
      return rest ?? '';
    },
  );
}
