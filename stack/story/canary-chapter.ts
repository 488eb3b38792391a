import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import { historyToJSON } from '@temporalio/common/lib/proto-utils';
import { parseKeyRing } from '../../config/environment';
import { localKeyEncryption } from '../../vault/key-encryption';
import { readLogSegment, SEGMENT_SUFFIX } from '../../vault/log-segments';
import { createPayloadCodec, mapPayloads } from '../../vault/payload-codec';
import type { Stack } from '../stack';
import { NAMESPACE } from '../temporal-server';
import { GALINA, RESIDENTS } from '../town';
import { GALINAS_PLATE } from './erasure-chapter';
import { PLATES_TOLD } from './plate-chapter';
import type { Teller } from './teller';

const NOTHING = 'nothing found';
const AT_ONCE = 8;

/**
 * Looks for what the story has planted: names, plates, tokens, secrets and face vectors, in every byte of what it left
 * behind (R2.5): logs as they lie and decrypted, histories as the server has them and decoded, what lists of executions
 * show, and every figure. What stands on the other side keeps its own books and is not searched.
 */
export async function tellCanaries(teller: Teller, stack: Stack): Promise<void> {
  teller.chapter('What is left behind');
  const planted = plantedIn(stack);
  const step = (name: string, asked: string, read: () => Promise<string[]>): Promise<boolean> =>
    teller.step({ name, profile: 'privacy', asked, expected: NOTHING }, async () => {
      const texts = await read();
      if (texts.length === 0 || texts.some((text) => text === '')) return { outcome: 'there was nothing to search' };
      const found = planted.filter(({ isIn }) => texts.some(isIn)).map(({ what }) => what);
      return { outcome: found.length === 0 ? NOTHING : `found: ${[...new Set(found)].join(', ')}` };
    });
  await step(
    'no name, plate, token or vector is in any log',
    'every byte of logs/, and as `domovoy logs decrypt`',
    () => logsOf(stack),
  );
  await step('nor in any history', 'every execution, as stored and as decoded', () => historiesOf(stack));
  await step('nor in any figure', '/metrics of every process', () => figuresOf(stack));
  // Not every system shows its processes so.
  if (!existsSync(PROCESSES)) return;
  await step('nor in what other users of the machine see of the processes', `${PROCESSES} of every process`, () =>
    Promise.resolve([seenOfProcesses([process.pid, ...stack.pids().values()])]),
  );
}

type Planted = { readonly what: string; readonly isIn: (text: string) => boolean };

/** What is looked for, by kind. */
export function plantedIn({ secrets }: Pick<Stack, 'secrets'>): Planted[] {
  const words = (what: string, found: readonly string[]): Planted[] =>
    found.map((word) => ({ what, isIn: (text) => text.includes(word) }));
  const pattern = (what: string, expression: RegExp): Planted => ({ what, isIn: (text) => expression.test(text) });
  const people = [...Object.values(RESIDENTS), GALINA].flatMap(({ name }) => name.split(' '));
  return [
    ...words('a name', people),
    ...words('a plate', [...PLATES_TOLD, GALINAS_PLATE]),
    pattern('a plate', /[АВЕКМНОРСТУХ]\d{3}[АВЕКМНОРСТУХ]{2}\d{2}/),
    ...words('a secret', secretsIn(secrets)),
    pattern('a token', /eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/),
    pattern('a vector', /(?:-?\d?\.\d{4,}(?:e-\d+)?,\s*){8}/),
  ];
}

/** Everything called `value` in what the stack keeps. */
function secretsIn(value: unknown): string[] {
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) =>
    name === 'value' && typeof member === 'string' ? secretParts(member) : secretsIn(member),
  );
}

/** Of keys with names the keys, and of keys in PEM form the lines. */
function secretParts(secret: string): string[] {
  if (secret.startsWith('[')) return (JSON.parse(secret) as { d: string }[]).map(({ d }) => d);
  return secret.split(/[\n:,]/).filter((part) => part.length >= 20 && !part.startsWith('--'));
}

/** Of the sandbox, which is not ours. */
const OTHER_SIDE = /^(?:partners|billing|identity-provider|security-desk)\b/;

async function logsOf({ logs, secrets }: Stack): Promise<string[]> {
  const ring = parseKeyRing(secrets.keyEncryptionKeys.value);
  const keyEncryption = localKeyEncryption(ring.keys, ring.currentId);
  const names = readdirSync(logs, { recursive: true, encoding: 'utf8' });
  let plain = '';
  let decrypted = '';
  for (const name of names.filter((each) => /\.d?log$/.test(each) && !OTHER_SIDE.test(each))) {
    const file = join(logs, name);
    plain += readFileSync(file, 'utf8');
    if (!name.endsWith(SEGMENT_SUFFIX)) continue;
    for await (const text of readLogSegment(file, keyEncryption)) decrypted += text;
  }
  return [plain, decrypted];
}

async function historiesOf({ ports, secrets }: Stack): Promise<string[]> {
  const ring = parseKeyRing(secrets.payloadKeys.value);
  const codec = createPayloadCodec(ring.keys, ring.currentId);
  const connection = await Connection.connect({ address: `127.0.0.1:${ports.temporal.toString()}` });
  const client = new Client({ connection, namespace: NAMESPACE });
  const texts: string[] = [];
  const read = async (workflowId: string, runId: string): Promise<void> => {
    const handle = client.workflow.getHandle(workflowId, runId);
    const [history, { raw }] = await Promise.all([handle.fetchHistory(), handle.describe()]);
    texts.push(workflowId, historyToJSON(history), JSON.stringify(raw));
    for (const part of [history, raw]) texts.push(...(await decodedOf(part, codec)));
  };
  try {
    let underWay: Promise<void>[] = [];
    for await (const { workflowId, runId } of client.workflow.list()) {
      underWay.push(read(workflowId, runId));
      if (underWay.length < AT_ONCE) continue;
      await Promise.all(underWay);
      underWay = [];
    }
    await Promise.all(underWay);
  } finally {
    await connection.close();
  }
  return [texts.join('\n')];
}

async function decodedOf(value: unknown, codec: PayloadCodec): Promise<string[]> {
  const texts: string[] = [];
  await mapPayloads(value, async (payload) => {
    const [decoded = payload] = await codec.decode([payload]);
    texts.push(Buffer.from(decoded.data ?? []).toString('utf8'));
    return payload;
  });
  return texts;
}

const PROCESSES = '/proc';

/**
 * What any user of the machine may read of these processes and of all that they started: command lines, and environments
 * where their files let others in.
 */
export function seenOfProcesses(pids: readonly number[]): string {
  const running = readdirSync(PROCESSES).filter((name) => /^\d+$/.test(name));
  const parents = new Map(running.map((pid) => [pid, / \S (\d+) /.exec(afterName(seen(pid, 'stat')))?.[1] ?? '0']));
  const isOurs = (pid: string | undefined): boolean =>
    pid !== undefined && (pids.includes(Number(pid)) || isOurs(parents.get(pid)));
  return running
    .filter(isOurs)
    .map((pid) => `${seen(pid, 'cmdline')}\n${seen(pid, 'environ')}`)
    .join('\n');
}

/** A program's name may hold whatever it likes, brackets too. */
const afterName = (stat: string): string => stat.slice(stat.lastIndexOf(')') + 1);

/** @returns what is in the file, if others may read it; nothing of a process that has ended */
function seen(pid: string, file: string): string {
  const path = join(PROCESSES, pid, file);
  try {
    return (statSync(path).mode & 0o004) === 0 ? '' : readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const figuresOf = ({ ports }: Stack): Promise<string[]> =>
  Promise.all(
    [ports.apiHealth, ports.smartHomeHealth, ports.communalHealth, ports.coreHealth].map(async (port) =>
      (await fetch(`http://127.0.0.1:${port.toString()}/metrics`)).text(),
    ),
  );
