import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { verifyDocument, type DocumentCheck } from '../vault/document-signature';
import { CommandRefusal } from './refusal';

/** `domovoy verify FILE`: whether a document that Domovoy signed is what was signed. Needs no network and no stack. */
export const verifyCommand = (): Command =>
  new Command('verify')
    .description('Checks a signed document (consent receipt, certificate of destruction) offline.')
    .argument('<file>', 'the document, JSON')
    .option('--key <thumbprint>', 'refuse documents signed by any other key (RFC 7638 thumbprint)')
    .action((file: string, options: { key?: string }) => {
      const check = verifyDocument(readJson(file));
      if (!check.ok) throw new CommandRefusal(`NOT VALID: ${REFUSALS[check.why]}`);
      if (options.key !== undefined && options.key !== check.keyId) {
        throw new CommandRefusal(`NOT VALID: signed by key ${check.keyId}, not by the key that was asked for.`);
      }
      console.log(`valid: ${check.type}, signed by key ${check.keyId}`);
      console.log(JSON.stringify(check.content, null, 2));
    });

const REFUSALS: Readonly<Record<Extract<DocumentCheck, { ok: false }>['why'], string>> = {
  'not-a-document': 'this is not a document that Domovoy signs.',
  algorithm: 'the signature is of a kind that is not accepted.',
  key: 'the key in the document cannot be used or is not the one that it names.',
  signature: 'the signature does not fit the content: the document was changed.',
};

/** @throws CommandRefusal when the file cannot be read or is no JSON */
function readJson(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    throw new CommandRefusal(`The file cannot be read: ${file}`);
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new CommandRefusal('NOT VALID: the file is not JSON.');
  }
}
