import { createReadStream, readFileSync } from 'node:fs';
import { CommandRefusal } from './refusal';

const LINE_FEED = 0x0a;
/** Stands for bytes that are no UTF-8. JSON never holds it unescaped, a substitute character it might. */
const NO_TEXT = '\u0000';

/** @throws CommandRefusal when the file cannot be read */
export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw new CommandRefusal(`The file cannot be read: ${file}`);
  }
}

/** @throws CommandRefusal when it is no JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new CommandRefusal('NOT VALID: the file is not JSON.');
  }
}

/** @throws CommandRefusal when the file cannot be read or is no JSON */
export const readJson = (file: string): unknown => parseJson(readText(file));

/**
 * What lies between the line feeds of a file of any length, a control character where it is no text.
 *
 * @throws CommandRefusal when the file cannot be read
 */
export async function* piecesOf(file: string): AsyncGenerator<string> {
  let rest: Buffer[] = [];
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      let start = 0;
      for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
        yield textOf([...rest, chunk.subarray(start, end)]);
        rest = [];
        start = end + 1;
      }
      rest.push(chunk.subarray(start));
    }
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new CommandRefusal(`The file cannot be read: ${file}`);
  }
  yield textOf(rest);
}

export const isSystemError = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'syscall' in error;

function textOf(parts: readonly Buffer[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts));
  } catch {
    return NO_TEXT;
  }
}
