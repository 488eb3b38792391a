import { Command } from 'commander';
import { CONSENT_RECEIPT_TYPE, ConsentReceipt } from '../contracts/consent-receipt';
import { CERTIFICATE_TYPE, ErasureCertificate, type HolderStanding } from '../contracts/erasure-certificate';
import { verifyDocument, type DocumentCheck } from '../vault/document-signature';
import { CommandRefusal } from './refusal';
import { parseJson, readText } from './text-file';

/** `domovoy verify FILE`: whether a document that Domovoy signed is what was signed. Needs no network and no stack. */
export const verifyCommand = (): Command =>
  new Command('verify')
    .description('Checks a signed document (consent receipt, certificate of destruction) offline.')
    .argument('<file>', 'the document, JSON')
    .option('--key <thumbprint>', 'refuse documents signed by any other key (RFC 7638 thumbprint)')
    .action((file: string, options: { key?: string }) => {
      const check = verifyDocument(readDocument(file));
      if (!check.ok) throw new CommandRefusal(`NOT VALID: ${REFUSALS[check.why]}`);
      if (options.key !== undefined && options.key !== check.keyId) {
        throw new CommandRefusal(`NOT VALID: signed by key ${check.keyId}, not by the key that was asked for.`);
      }
      for (const line of summary(check.type, check.content)) console.log(line);
      console.log(`valid: ${check.type}, signed by key ${check.keyId}`);
      console.log(JSON.stringify(check.content, null, 2));
    });

/**
 * What a document of a known type says, in a few lines.
 *
 * @throws CommandRefusal when the content is not what its type promises
 */
function summary(type: string, content: unknown): string[] {
  if (type === CERTIFICATE_TYPE) return certificateSummary(content);
  if (type !== CONSENT_RECEIPT_TYPE) return [];
  const receipt = ConsentReceipt.safeParse(content);
  if (!receipt.success) throw new CommandRefusal('NOT VALID: signed, but not a consent receipt as its type says.');
  const {
    consent,
    party_identification: parties,
    pii_processing: processing,
    pii_principal_id: principal,
  } = receipt.data;
  const named = (role: (typeof parties)[number]['party_role']): string =>
    parties
      .filter(({ party_role }) => party_role === role)
      .map(({ party_name }) => party_name)
      .join(', ');
  const { form_id: form, version } = processing.privacy_notice;
  return [
    `Consent of resident ${principal} to ${processing.purposes.map(({ purpose }) => purpose).join(', ')}`,
    `  by ${named('pii-controller')}, with ${named('recipient')}; form ${form}, version ${version.toString()}`,
    `  granted ${consent.granted_at}, until ${consent.expires_at}; state when issued: ${consent.state}`,
  ];
}

/** What was destroyed, who confirmed it, who was never asked, what backups hold, and what the search found. */
function certificateSummary(content: unknown): string[] {
  const certificate = ErasureCertificate.safeParse(content);
  if (!certificate.success) {
    throw new CommandRefusal('NOT VALID: signed, but not a certificate of destruction as its type says.');
  }
  const { subject, operator, destroyed_at: at, destroyed, holders, backups, search, version } = certificate.data;
  const of = (standing: HolderStanding): string => {
    const named = holders
      .filter((holder) => holder.standing === standing)
      .map(({ party, category, confirmed_at: when }) => `${party} (${category}${when === null ? '' : `, ${when}`})`);
    return named.length === 0 ? 'none' : named.join(', ');
  };
  return [
    `Destruction of personal data on request ${subject.request_id}, certificate version ${version.toString()}`,
    `  by ${operator.name}, ${at}: ${destroyed.map(({ category }) => category).join(', ')}`,
    `  holders that confirmed: ${of('confirmed')}`,
    `  held by the operator for: ${of('held-by-operator')}`,
    `  kept for another person by: ${of('kept-for-another')}`,
    `  in backups made before, sealed: ${backups === null ? 'not said' : `until ${backups.hold_until}`}`,
    `  opens from no backup: ${fromWhen(backups)}`,
    `  searched ${search.places.toString()} places on ${search.searched_at}: nothing found`,
  ];
}

/** Where the key lay whole in backups it opened as long as they were kept, for whoever had what wrapped it. */
const fromWhen = (backups: ErasureCertificate['backups']): string =>
  backups === null ? 'not said' : `from ${backups.opens_nothing_from ?? backups.hold_until} on`;

const REFUSALS: Readonly<Record<Extract<DocumentCheck, { ok: false }>['why'], string>> = {
  'not-a-document': 'this is not a document that Domovoy signs.',
  algorithm: 'the signature is of a kind that is not accepted.',
  key: 'the key in the document cannot be used or is not the one that it names.',
  signature: 'the signature does not fit the content: the document was changed.',
};

/** @throws CommandRefusal when the file cannot be read, is no JSON, or holds more than the document */
function readDocument(file: string): unknown {
  const text = readText(file);
  const value = parseJson(text);
  // As the API writes it, or laid out by two spaces; whatever was added, doubled, escaped or moved shows.
  const written = [JSON.stringify(value), JSON.stringify(value, null, 2)];
  if (!written.includes(text.replace(/\n$/, ''))) {
    throw new CommandRefusal('NOT VALID: the file holds more than the document.');
  }
  return value;
}
