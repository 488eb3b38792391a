import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { z } from 'zod';
import type { Logger } from '../config/logger';
import { repeating } from '../config/repeating';
import { DENIAL_REASONS } from '../contracts/access';
import { OPENING_OUTCOMES, type OpenAccessEnd } from '../contracts/openings';

/** How workers tell this process that an opening has ended, as soon as its row says so (docs/adr/0095). */
export type OpeningAnswers = {
  /** Where they tell it: nobody else knows the name, and it is another one in each process. */
  readonly channel: string;
  /** From now on until `forget`. It never rejects; one that is told of before, elsewhere or not at all never resolves. */
  expect(openingId: string): { readonly answer: Promise<OpenAccessEnd>; readonly forget: () => void };
  /** Whether anything could be told now. */
  readonly isListening: () => boolean;
  readonly close: () => Promise<void>;
};

const LOOK_EVERY_MS = 1_000;
/** A network may lose a connection and tell neither end. */
const ANSWERS_WITHIN_MS = 5_000;
const CHANNEL_BYTES = 16;

const Told = z.object({
  openingId: z.uuid(),
  outcome: z.enum(OPENING_OUTCOMES),
  reason: z.enum(DENIAL_REASONS).optional(),
  at: z.iso.datetime(),
  requestedAt: z.iso.datetime(),
  notAfter: z.iso.datetime(),
});

/**
 * Listens on a connection of its own, and opens it again when it is lost. What was told meanwhile is lost: whoever waits
 * has to look at the row as well.
 *
 * @param deps.databaseUrl of the process; sessions of its own, as for prepared statements
 */
export async function openOpeningAnswers({
  databaseUrl,
  log,
  answersWithinMs = ANSWERS_WITHIN_MS,
}: {
  databaseUrl: string;
  log: Logger;
  answersWithinMs?: number;
}): Promise<OpeningAnswers> {
  const channel = `answers_${randomBytes(CHANNEL_BYTES).toString('hex')}`;
  const waiting = new Map<string, Set<(end: OpenAccessEnd) => void>>();
  let listener: Client | null = null;
  let isClosing = false;

  function lose(client: Client): void {
    if (listener !== client) return;
    listener = null;
    if (!isClosing) log.warn({ event: 'opening-answers' }, 'nobody tells of openings that have ended; their rows do');
  }

  async function listen(): Promise<void> {
    const client = new Client({
      connectionString: databaseUrl,
      connectionTimeoutMillis: answersWithinMs,
      query_timeout: answersWithinMs,
    });
    for (const event of ['error', 'end'] as const) {
      client.on(event, () => {
        lose(client);
      });
    }
    client.on('notification', ({ payload }) => {
      tell(payload ?? '');
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${channel}`);
      listener = client;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
  }

  function tell(payload: string): void {
    const { data } = Told.safeParse(parsed(payload));
    if (!data) return;
    const { openingId, reason, ...end } = data;
    for (const answer of waiting.get(openingId) ?? []) answer({ ...end, ...(reason !== undefined && { reason }) });
  }

  /** The connection is opened again when it was lost, or when nobody answers at its other end. */
  async function look(): Promise<void> {
    if (!listener) return listen();
    const asked = listener;
    await asked.query('SELECT').catch(() => {
      lose(asked);
      asked.end().catch(() => undefined);
    });
  }

  await listen();
  const again = repeating(LOOK_EVERY_MS, look, () => undefined);
  return {
    channel,
    isListening: () => listener !== null,
    expect(openingId) {
      const { promise: answer, resolve } = withResolvers<OpenAccessEnd>();
      const answers = waiting.get(openingId) ?? new Set();
      waiting.set(openingId, answers.add(resolve));
      const forget = (): void => {
        answers.delete(resolve);
        if (answers.size === 0) waiting.delete(openingId);
      };
      return { answer, forget };
    },
    async close() {
      isClosing = true;
      await again.close();
      await listener?.end();
    },
  };
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
