import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { projectFile } from '../../config/project-root';
import { seriesIn } from '../../test/support/promql';
import { StackError } from '../stack-error';
import { findPromtool } from './find';

type Rule = { readonly record?: string; readonly alert?: string; readonly expr: string };
type Rules = { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
type Cases = {
  readonly tests: readonly {
    readonly input_series: readonly { readonly series: string }[];
    readonly alert_rule_test: readonly { readonly alertname: string; readonly exp_alerts: readonly unknown[] }[];
  }[];
};

const prometheus = projectFile('deploy/prometheus');
const rules = (parse(readFileSync(join(prometheus, 'rules.yml'), 'utf8')) as Rules).groups.flatMap(
  (group) => group.rules,
);
const alerts = rules.flatMap(({ alert, expr }) => (alert === undefined ? [] : [{ alert, expr }]));
const files = readdirSync(join(prometheus, 'tests'));
const cases = files.map((name) => readFileSync(join(prometheus, 'tests', name), 'utf8'));

let folder: string;
let promtool: string;
// A build of promtool, the first time; what it says belongs on the terminal, not into the report.
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'domovoy-alerts-'));
  promtool = await findPromtool(process.env, (line) => process.stderr.write(`${line}\n`));
}, 1_800_000);
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function run(...args: string[]): Promise<{ ok: boolean; said: string }> {
  return new Promise((resolve) => {
    execFile(promtool, args, { maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ ok: error === null, said: stdout + stderr });
    });
  });
}

/** Series that a rule rests on, by whatever other rules. */
const restsOn = (expression: string): string[] =>
  seriesIn(expression).flatMap((name) => {
    const recorded = rules.find(({ record }) => record === name);
    return recorded ? restsOn(recorded.expr) : [name];
  });

describe('the alert rules of Prometheus', () => {
  it('are rules, and their configuration is one', async () => {
    expect(await run('check', 'rules', '--lint=all', '--lint-fatal', join(prometheus, 'rules.yml'))).toMatchObject({
      ok: true,
    });
    const configuration = join(folder, 'prometheus.yml');
    const text = readFileSync(join(prometheus, 'prometheus.yml'), 'utf8');
    writeFileSync(configuration, text.replaceAll('/etc/prometheus', prometheus));
    const { ok, said } = await run('check', 'config', configuration);
    expect(ok ? '' : said).toBe('');
    expect(said).toContain('1 rule files found');
  });

  it('fire, and stay quiet, as their cases say', async () => {
    const { ok, said } = await run('test', 'rules', ...files.map((name) => join(prometheus, 'tests', name)));
    expect(ok ? '' : said).toBe('');
  });

  it.each(alerts)(
    'has a case that fires $alert and one that stays quiet, with all that it looks at',
    ({ alert, expr }) => {
      const groups = cases.flatMap((text) => (parse(text) as Cases).tests);
      const fed = (fires: boolean): string[][] =>
        groups
          .filter(({ alert_rule_test: asked }) =>
            asked.some(({ alertname, exp_alerts }) => alertname === alert && exp_alerts.length > 0 === fires),
          )
          .map(({ input_series }) => input_series.map(({ series }) => series.replace(/\{.*/, '')));
      for (const series of [fed(true), fed(false)]) {
        expect(series).not.toEqual([]);
        for (const names of series) expect(names).toEqual(expect.arrayContaining(restsOn(expr)));
      }
    },
  );
});

type Route = { readonly receiver?: string; readonly routes?: readonly Route[] };
type Alertmanager = {
  readonly route: Route;
  readonly receivers: readonly {
    readonly name: string;
    readonly webhook_configs: readonly Readonly<Record<string, unknown>>[];
  }[];
};
type Compose = {
  readonly services: Readonly<
    Record<string, { readonly volumes?: readonly string[]; readonly secrets?: readonly string[] } | undefined>
  >;
  readonly secrets: Readonly<Record<string, { readonly file: string } | undefined>>;
};

describe('what becomes of an alert of Prometheus', () => {
  const read = (path: string): unknown => parse(readFileSync(projectFile(path), 'utf8'));
  const alertmanager = read('deploy/alertmanager/alertmanager.yml') as Alertmanager;
  const compose = read('docker-compose.yml') as Compose;
  const service = compose.services['alertmanager'];
  const receiversOf = ({ receiver, routes = [] }: Route): string[] => [
    ...(receiver === undefined ? [] : [receiver]),
    ...routes.flatMap(receiversOf),
  ];

  it('is that Prometheus hands it to the service that has this configuration', () => {
    const { alerting } = read('deploy/prometheus/prometheus.yml') as { alerting: object };
    expect(alerting).toEqual({ alertmanagers: [{ static_configs: [{ targets: ['alertmanager:9093'] }] }] });
    expect(service?.volumes).toContain('./deploy/alertmanager/alertmanager.yml:/etc/alertmanager/alertmanager.yml:ro');
  });

  it('is that it goes to a receiver that there is, whatever the alert, and no receiver is for nothing', () => {
    expect(alertmanager.route.receiver).toBeDefined();
    expect(new Set(receiversOf(alertmanager.route))).toEqual(new Set(alertmanager.receivers.map(({ name }) => name)));
  });

  it('is that it is posted to an address from a secret file, and none is in the configuration', () => {
    for (const { name, webhook_configs: webhooks } of alertmanager.receivers) {
      expect([name, webhooks.length]).not.toEqual([name, 0]);
      for (const { url, url_file: file } of webhooks) {
        expect(url).toBeUndefined();
        const secret = /^\/run\/secrets\/(\w+)$/.exec(String(file))?.[1] ?? '';
        expect(service?.secrets).toContain(secret);
        expect(compose.secrets[secret]).toEqual({ file: `deploy/secrets/${secret}` });
      }
    }
  });
});

describe('the search for promtool', () => {
  const nowhere = () => ({ PATH: folder, XDG_CACHE_HOME: join(folder, 'cache') });

  it('uses the one that is named, or says in a sentence why not', async () => {
    expect(await findPromtool({ ...nowhere(), DOMOVOY_PROMTOOL: promtool }, () => undefined)).toBe(promtool);
    const named = { ...nowhere(), DOMOVOY_PROMTOOL: join(folder, 'none') };
    await expect(findPromtool(named, () => undefined)).rejects.toEqual(
      new StackError('DOMOVOY_PROMTOOL names no program.', 'Correct it, or leave it out.'),
    );
  });

  it('says in a sentence what is missing when a build fails', async () => {
    writeFileSync(join(folder, 'go'), '#!/bin/sh\necho "dial tcp: no route" >&2\nexit 1\n', { mode: 0o755 });
    await expect(findPromtool(nowhere(), () => undefined)).rejects.toThrow(
      /^Prometheus’s promtool is missing, and building promtool failed: dial tcp: no route\. Install Prometheus 3/,
    );
  });
});
