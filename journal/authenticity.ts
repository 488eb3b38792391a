import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

/** What of an entry its process says; number and time are the database's. */
export type EntryContent = {
  readonly integration: string | null;
  readonly kind: string;
  readonly objectId: string | null;
  readonly actor: string | null;
  readonly outcome: string | null;
  readonly reason: string | null;
  readonly subject: string | null;
  readonly sealed: Uint8Array | null;
};

/** Tells what a process of ours wrote from what somebody else put into the table (docs/adr/0087). */
export type EntryAuthenticator = {
  /** For an entry that is written now. Never the same twice, so that a copy of an entry shows (journal/database-check.ts). */
  readonly macOf: (content: EntryContent) => string;
  /** Whether a holder of a key wrote this, about when the database says. */
  readonly isAuthentic: (entry: EntryContent & { readonly at: Date; readonly mac: string | null }) => boolean;
};

/**
 * What a function of the database writes for the command (cli/), whose users hold no key: that the journal or logs are
 * taken out (`note_taken_out`). Nothing else goes without a code.
 */
export const isByCommand = ({ kind, outcome, mac }: EntryContent & { readonly mac: string | null }): boolean =>
  mac === null && outcome === 'by-command' && (kind === 'journal-export' || kind === 'log-reading');

const PURPOSE = 'domovoy/journal-entry';
const NONCE_BYTES = 9;
const MAC_BYTES = 16;
/** An entry has the time at which its transaction began, by another clock; longer than any transaction or drift. */
const APART_AT_MOST_MS = 3_600_000;

/**
 * Keys are derived from those of payloads, which every process has and the database does not.
 *
 * @param ring.currentId under which entries are written; the others are still believed
 */
export function createEntryAuthenticator(ring: {
  readonly keys: ReadonlyMap<string, Buffer>;
  readonly currentId: string;
}): EntryAuthenticator {
  const keys = new Map([...ring.keys].map(([id, key]) => [id, Buffer.from(hkdfSync('sha256', key, '', PURPOSE, 32))]));
  function code(keyId: string, words: readonly string[], content: EntryContent): Buffer | null {
    const key = keys.get(keyId);
    if (!key) return null;
    const { integration, kind, objectId, actor, outcome, reason, subject, sealed } = content;
    const details = sealed === null ? null : Buffer.from(sealed).toString('base64url');
    const said = [...words, integration, kind, objectId, actor, outcome, reason, subject, details];
    return createHmac('sha256', key).update(JSON.stringify(said)).digest().subarray(0, MAC_BYTES);
  }
  return {
    macOf(content) {
      const words = [ring.currentId, Date.now().toString(), randomBytes(NONCE_BYTES).toString('base64url')];
      const mac = code(ring.currentId, words, content);
      if (!mac) throw new Error('The key in use is not in the ring.');
      return [...words, mac.toString('base64url')].join('.');
    },
    isAuthentic({ at, mac, ...content }) {
      const parts = mac?.split('.') ?? [];
      const shown = Buffer.from(parts.pop() ?? '', 'base64url');
      const [writtenAt = '', nonce = ''] = parts.slice(-2);
      // The id of a key may have dots of its own.
      const keyId = parts.slice(0, -2).join('.');
      if (Math.abs(Number(writtenAt) - at.getTime()) > APART_AT_MOST_MS) return false;
      const made = code(keyId, [keyId, writtenAt, nonce], content);
      return made?.length === shown.length && timingSafeEqual(made, shown);
    },
  };
}
