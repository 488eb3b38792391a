import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFile } from '../../config/project-root';

/** Names of the samples that a text of metrics holds. */
export const namesIn = (exposition: string): string[] =>
  [...exposition.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{| )/gm)].map(([, name = '']) => name);

/** Names of series that dashboards and rules under deploy/ ask for, and those that rules make. */
export function askedOfPrometheus(): { asked: Set<string>; recorded: string[] } {
  const dashboards = projectFile('deploy/grafana/dashboards');
  const panels = readdirSync(dashboards).flatMap((file) =>
    [...readFileSync(join(dashboards, file), 'utf8').matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(([, text = '""']) =>
      String(JSON.parse(text)),
    ),
  );
  const rules = readFileSync(projectFile('deploy/prometheus/rules.yml'), 'utf8');
  const expressions = [...rules.matchAll(/^ {8}expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)/gm)].map(
    ([, block, line]) => block ?? line ?? '',
  );
  const recorded = [...rules.matchAll(/^ {6}- record: (\S+)$/gm)].map(([, name = '']) => name);
  return { asked: new Set([...panels, ...expressions].flatMap(seriesIn)), recorded };
}

const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan', 'atan2']);

/** The names in an expression of PromQL that are neither functions, words of the language, nor labels. */
export function seriesIn(expression: string): string[] {
  const bare = expression
    .replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '')
    .replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  return [...bare.matchAll(/(?<![\w.:])[a-zA-Z_:][\w:]*(?!\w*\s*\()/g)]
    .map(([name]) => name)
    .filter((name) => !WORDS.has(name.toLowerCase()));
}
