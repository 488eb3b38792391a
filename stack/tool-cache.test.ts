import { setTimeout as pause } from 'node:timers/promises';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOpenBao } from './openbao/find';
import { isAlive } from './process-identity';
import { findPromtool } from './promtool/find';
import { runWithProgress } from './run-with-progress';
import { findTemporalCli } from './temporal-cli';
import { findTestServer } from './test-server/find';
import { isExecutable, makeInCache, onPath } from './tool-cache';

const root = mkdtempSync(join(tmpdir(), 'domovoy-tools-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = () => mkdtempSync(join(root, 'f-'));
const none = () => undefined;

function writeProgram(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
  return path;
}
const temporal = (folder: string, server: string) =>
  writeProgram(folder, 'temporal', `echo 'temporal version 1.5.1 (Server ${server}, UI 2.42.1)'`);

describe('the tool cache', () => {
  it('holds a tool whole or not at all', async () => {
    const folder = join(fresh(), 'tool');
    const failing = makeInCache(folder, 'tool', async (temporary) => {
      writeProgram(temporary, 'tool', 'exit 0');
      throw new Error('half way');
    });
    await expect(failing).rejects.toThrow('half way');
    expect(readdirSync(join(folder, '..'))).toEqual([]);
  });

  it('serves two who make the same tool at once', async () => {
    const folder = join(fresh(), 'tool');
    const make = () => makeInCache(folder, 'tool', async (temporary) => void writeProgram(temporary, 'tool', 'exit 0'));
    await Promise.all([make(), make(), make()]);
    expect(isExecutable(join(folder, 'tool'))).toBe(true);
    expect(readdirSync(join(folder, '..'))).toEqual(['tool']);
  });

  it('replaces a folder that lacks its program', async () => {
    const folder = join(fresh(), 'tool');
    mkdirSync(folder);
    writeFileSync(join(folder, 'rest'), '');
    await makeInCache(folder, 'tool', async (temporary) => void writeProgram(temporary, 'tool', 'exit 0'));
    expect(readdirSync(folder)).toEqual(['tool']);
  });

  it('removes what builds that were killed left long ago, and not what is being built', async () => {
    const parent = fresh();
    for (const name of ['tool.old', 'tool.new']) mkdirSync(join(parent, name));
    const longAgo = Date.now() / 1_000 - 7_200;
    utimesSync(join(parent, 'tool.old'), longAgo, longAgo);
    await makeInCache(join(parent, 'tool'), 'tool', async (temporary) => void writeProgram(temporary, 'tool', ':'));
    expect(readdirSync(parent).sort()).toEqual(['tool', 'tool.new']);
  });
});

it('finds the first program of a name on PATH, and no folder of that name', () => {
  const [first, second] = [fresh(), fresh()];
  mkdirSync(join(first, 'tool'));
  const program = writeProgram(second, 'tool', ':');
  expect(onPath('tool', { PATH: `${first}:${second}` })).toBe(program);
});

describe('the Temporal server', () => {
  it('is the one that DOMOVOY_TEMPORAL_CLI names', async () => {
    const program = temporal(fresh(), '1.29.1');
    await expect(findTemporalCli({ DOMOVOY_TEMPORAL_CLI: program }, none)).resolves.toBe(program);
  });

  it.each([
    ['names no program', () => join(root, 'none')],
    ['does not run', () => writeProgram(fresh(), 'temporal', 'exit 1')],
    ['does not say which server it holds', () => writeProgram(fresh(), 'temporal', 'echo something else')],
    ['holds server 1.25, older than 1.28', () => temporal(fresh(), '1.25.0')],
  ])('is refused by name when it %s', async (problem, program) => {
    await expect(findTemporalCli({ DOMOVOY_TEMPORAL_CLI: program() }, none)).rejects.toThrow(problem);
  });

  it('comes from PATH before the cache', async () => {
    const [path, cache] = [fresh(), fresh()];
    temporal(join(cache, 'domovoy/tools/temporal-cli-v1.5.1'), '1.29.1');
    const program = temporal(path, '1.29.1');
    await expect(findTemporalCli({ PATH: path, XDG_CACHE_HOME: cache }, none)).resolves.toBe(program);
  });

  it('comes from the cache when the one on PATH is too old, which is said', async () => {
    const [path, cache] = [fresh(), fresh()];
    const old = temporal(path, '1.20.0');
    const program = temporal(join(cache, 'domovoy/tools/temporal-cli-v1.5.1'), '1.29.1');
    const lines: string[] = [];
    const found = findTemporalCli({ PATH: path, XDG_CACHE_HOME: cache }, (line) => lines.push(line));
    await expect(found).resolves.toBe(program);
    expect(lines).toEqual([`Not using ${old}: it holds server 1.20, older than 1.28.`]);
  });
});

describe('a Temporal server that is nowhere', () => {
  /** Nothing of use on PATH, in the cache, or among the SDK's downloads. */
  function nowhere() {
    const [path, cache] = [fresh(), fresh()];
    temporal(join(cache, 'domovoy/tools/sdk'), '1.20.0');
    return { path, env: { PATH: path, XDG_CACHE_HOME: cache, GOROOT: fresh() } };
  }

  it('is missed in one sentence with the remedy when there is no Go either', async () => {
    await expect(findTemporalCli(nowhere().env, none)).rejects.toThrow(
      'The Temporal server is missing, its download is out of reach, and Go is not installed. ' +
        'Install the Temporal CLI (docs.temporal.io/cli) or Go 1.24, or name one with DOMOVOY_TEMPORAL_CLI.',
    );
  });

  it('is built with Go, once', async () => {
    const { path, env } = nowhere();
    const made = temporal(fresh(), '1.29.1');
    writeProgram(path, 'go', `/bin/cp '${made}' "$GOBIN/temporal"`);
    const lines: string[] = [];
    const built = await findTemporalCli(env, (line) => lines.push(line));
    expect(lines[0]).toBe('Building the Temporal server with Go: once, about three minutes.');
    rmSync(join(path, 'go'));
    await expect(findTemporalCli(env, none)).resolves.toBe(built);
  });

  it('is missed with the last words of a build that fails', async () => {
    const { path, env } = nowhere();
    writeProgram(path, 'go', 'echo no module; exit 1');
    await expect(findTemporalCli(env, none)).rejects.toThrow(
      /^The Temporal server is missing, and building Temporal failed: no module\. Install the Temporal CLI /,
    );
  });
});

it('misses promtool in one sentence with the remedy when there is no Go to build it', async () => {
  const env = { PATH: fresh(), XDG_CACHE_HOME: fresh(), GOROOT: fresh() };
  await expect(findPromtool(env, none)).rejects.toThrow(/^Prometheus’s promtool is missing, .* Install Prometheus 3 /);
});

describe('the time-skipping server', () => {
  it('is the one that TEMPORAL_TEST_SERVER names, if it is there', async () => {
    const program = writeProgram(fresh(), 'server', ':');
    await expect(findTestServer({ TEMPORAL_TEST_SERVER: program }, none)).resolves.toBe(program);
    await expect(findTestServer({ TEMPORAL_TEST_SERVER: join(root, 'none') }, none)).rejects.toThrow(
      'names no program',
    );
  });

  it('comes from the cache when there is a Java to run it', async () => {
    const [path, cache] = [fresh(), fresh()];
    writeProgram(path, 'java', ':');
    const folder = join(cache, 'domovoy/tools/temporal-test-server-1.38.0');
    const program = writeProgram(folder, 'temporal-test-server', ':');
    await expect(findTestServer({ PATH: path, XDG_CACHE_HOME: cache }, none)).resolves.toBe(program);
  });
});

describe('the server with a transit engine', () => {
  const bao = (folder: string, name = 'bao') => writeProgram(folder, name, `echo 'OpenBao v2.7.2 (abc), built today'`);

  it('is the one that DOMOVOY_OPENBAO names, if it is one, and none if it says so', async () => {
    const program = bao(fresh());
    await expect(findOpenBao({ DOMOVOY_OPENBAO: program }, none)).resolves.toBe(program);
    await expect(findOpenBao({ DOMOVOY_OPENBAO: 'none', PATH: join(program, '..') }, none)).resolves.toBeNull();
    for (const [problem, wrong] of [
      ['names no program', join(root, 'none')],
      ['is neither OpenBao nor Vault', writeProgram(fresh(), 'bao', 'echo something else')],
    ] as const) {
      await expect(findOpenBao({ DOMOVOY_OPENBAO: wrong }, none)).rejects.toThrow(`DOMOVOY_OPENBAO ${problem}`);
    }
  });

  it('comes from PATH under either name, and then from the cache', async () => {
    const [path, cache] = [fresh(), fresh()];
    const cached = bao(join(cache, 'domovoy/tools/openbao-2.7.2'));
    await expect(findOpenBao({ PATH: path, XDG_CACHE_HOME: cache }, none)).resolves.toBe(cached);
    const vault = writeProgram(path, 'vault', `echo 'Vault v1.21.0 (abc), built today'`);
    await expect(findOpenBao({ PATH: path, XDG_CACHE_HOME: cache }, none)).resolves.toBe(vault);
    const program = bao(path);
    await expect(findOpenBao({ PATH: path, XDG_CACHE_HOME: cache }, none)).resolves.toBe(program);
  });

  it('is none where it cannot be fetched, which is said', async () => {
    const [path, cache] = [fresh(), fresh()];
    const lines: string[] = [];
    const nowhere = { PATH: path, XDG_CACHE_HOME: cache };
    await expect(findOpenBao(nowhere, (line) => lines.push(line))).resolves.toBeNull();
    writeProgram(path, 'python3', 'echo "no route" >&2; exit 1');
    await expect(findOpenBao(nowhere, (line) => lines.push(line))).resolves.toBeNull();
    expect(lines[0]).toContain('there is no Python to fetch it with');
    expect(lines.at(-1)).toBe('No OpenBao: fetching OpenBao failed: no route.');
    expect(readdirSync(join(cache, 'domovoy/tools'))).toEqual([]);
  });
});

describe('a long step', () => {
  const node = (script: string, more: object = {}) => {
    const lines: string[] = [];
    const done = runWithProgress('building', process.execPath, ['-e', script], {
      print: (line) => lines.push(line),
      ...more,
    });
    return { lines, done };
  };

  it('says that it is at work, on what, and how long it took', async () => {
    const { lines, done } = node(
      `console.error('\\x1b[1mpackage/one\\x1b[0m\\n\\x1b[0m'); setTimeout(() => {}, 2_000)`,
      {
        sayEveryMs: 300,
      },
    );
    await done;
    expect(lines[0]).toMatch(/^ {2}building: \d s/);
    expect(lines.some((line) => line.endsWith(' s, package/one'))).toBe(true);
    expect(lines.at(-1)).toMatch(/^ {2}building: done in \d+ s$/);
  });

  it('fails with its last words', async () => {
    const { done } = node(`console.error('the reason'); process.exit(2)`);
    await expect(done).rejects.toThrow('building failed: the reason');
  });

  it('ends with everything it started when it is asked to', async () => {
    const file = join(fresh(), 'pid');
    const ending = new AbortController();
    const script = `const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
      require('node:fs').writeFileSync(${JSON.stringify(file)}, String(child.pid)); console.log('up'); setInterval(() => {}, 1000);`;
    const { done } = node(script, {
      signal: ending.signal,
      sayEveryMs: 50,
      print: (line: string) => {
        if (line.endsWith('up')) ending.abort();
      },
    });
    await expect(done).rejects.toThrow(/abort/i);
    // Killed as a group; whoever adopted it needs a moment to bury it.
    const child = { pid: Number(readFileSync(file, 'utf8')), startTime: null };
    for (const untilMs = Date.now() + 20_000; isAlive(child) && Date.now() < untilMs;) await pause(20);
    expect(isAlive(child)).toBe(false);
  });
});
