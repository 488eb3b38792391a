import { createPublicKey } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, fetch as send } from 'undici';
import { verifyCommand } from '../../cli/verify';
import { CommandRefusal } from '../../cli/refusal';
import { CONSENT_RECEIPT_TYPE, ConsentReceipt } from '../../contracts/consent-receipt';
import { CONSENT_FORM, RESIDENTS } from '../../stack/town';
import { documentSigner, signDocument, thumbprint, verifyDocument } from '../../vault/document-signature';
import { createHarness, type Harness } from '../support/harness';

const { anna } = RESIDENTS;
const nobody = '00000000-0000-4000-8000-00000000dead';

describe('the receipt of a consent', () => {
  let h: Harness;
  let consentId = '';
  let receipt: Record<string, unknown> = {};
  const folder = mkdtempSync(join(tmpdir(), 'domovoy-receipt-'));
  beforeAll(async () => {
    h = await createHarness();
    const form = await h.app.get('/app/v1/consent-forms/current');
    const request = { partnerId: 'kluch', formId: form.body['formId'], formSha256: form.body['sha256'] };
    consentId = String((await h.app.post(`/app/v1/residents/${anna.id}/consents`, request)).body['consentId']);
    receipt = await download();
  }, 120_000);
  afterAll(() => h.close());

  async function download(): Promise<Record<string, unknown>> {
    const { status, body } = await h.app.get(`/app/v1/consents/${consentId}/receipt`);
    expect(status).toBe(200);
    return body;
  }

  function contentOf(document: unknown): ConsentReceipt {
    const check = verifyDocument(document);
    if (!check.ok) throw new Error(check.why);
    expect(check.type).toBe(CONSENT_RECEIPT_TYPE);
    return ConsentReceipt.parse(check.content);
  }

  /** Runs the command on a text as the file's content. @returns what it refused with, `null` for valid */
  async function verify(text: string, ...options: string[]): Promise<string | null> {
    const file = join(folder, 'receipt.json');
    writeFileSync(file, text);
    const print = jest.spyOn(console, 'log').mockImplementation(() => undefined);
    try {
      await verifyCommand().parseAsync([file, ...options], { from: 'user' });
      return null;
    } catch (error) {
      if (!(error instanceof CommandRefusal)) throw error;
      return error.message;
    } finally {
      print.mockRestore();
    }
  }

  it('says who consented to what, with whom, from when to when, and how to withdraw', () => {
    const content = contentOf(receipt);
    expect(content).toMatchObject({
      record_id: consentId,
      pii_principal_id: anna.id,
      pii_processing: {
        privacy_notice: { form_id: CONSENT_FORM.id, version: CONSENT_FORM.version },
        purposes: [{ purpose: 'access-by-face', recipient_third_parties: ['kluch'] }],
      },
      consent: { state: 'granted' },
      events: [{ event_type: 'granted' }],
    });
    expect(content.party_identification.map(({ party_name }) => party_name)).toEqual([
      'PropDevelopment (tests)',
      'Kluch',
    ]);
    expect(content.pii_processing.purposes[0]?.withdrawal_method).toMatch(/in the app/);
  });

  it('holds no name, tokenized id or anything else of the resident', async () => {
    const text = JSON.stringify(contentOf(receipt));
    for (const name of anna.name.split(' ')) expect(text).not.toContain(name);
    for (const { token } of await h.owner.partnerSubject.findMany()) expect(text).not.toContain(token);
  });

  it('is the same document for the same state, and another one when the state changes', async () => {
    expect(await download()).toEqual(receipt);
    await h.owner.consent.update({ where: { id: consentId }, data: { status: 'withdrawn' } });
    await h.owner.journalEntry.create({
      data: {
        kind: 'consent',
        integration: 'smart-home',
        objectId: consentId,
        actor: 'consent-process',
        outcome: 'withdrawn',
      },
    });
    const after = contentOf(await download());
    expect(after.consent.state).toBe('withdrawn');
    expect(after.events.map(({ event_type }) => event_type)).toEqual(['granted', 'withdrawn']);
    expect(after.receipt_id).not.toBe(contentOf(receipt).receipt_id);
  });

  it('is signed with the key that is published, under its thumbprint', async () => {
    const dispatcher = new Agent({ connect: { ca: h.caPem } });
    const answer = await send(`${h.apiUrl}/.well-known/domovoy-document-keys`, { dispatcher });
    const { keys } = (await answer.json()) as { keys: { kid: string; kty: string; crv: string; x: string }[] };
    await dispatcher.close();
    expect(keys).toHaveLength(1);
    expect(Object.keys(keys[0] ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x']); // no private part
    const { kid = '', kty = '', crv = '', x = '' } = keys[0] ?? {};
    expect(thumbprint(createPublicKey({ key: { kty, crv, x }, format: 'jwk' }))).toBe(kid);
    expect(await verify(JSON.stringify(receipt), '--key', kid)).toBeNull();
    expect(await verify(JSON.stringify(receipt), '--key', 'another')).toMatch(/^NOT VALID: signed by key/);
  });

  it('is refused in one sentence after any change of one character', async () => {
    const text = JSON.stringify(receipt);
    expect(await verify(text)).toBeNull();
    for (let at = 0; at < text.length; at += 37) {
      const changed = text.slice(0, at) + (text[at] === 'x' ? 'y' : 'x') + text.slice(at + 1);
      expect(await verify(changed)).toMatch(/^NOT VALID: [^\n]+\.$/);
      expect(await verify(text.slice(0, at) + text.slice(at + 1))).toMatch(/^NOT VALID: [^\n]+\.$/);
    }
  });

  it('is refused with anything beside it, or with one part twice', async () => {
    expect(await verify(JSON.stringify({ ...receipt, note: 'and everything else, too' }))).toMatch(/^NOT VALID/);
    const twice = JSON.stringify(receipt).replace('{', '{"payload":"e30",');
    expect(await verify(twice)).toMatch(/^NOT VALID/);
  });

  it('is refused when what was signed is not a receipt, whoever signed it', async () => {
    const signer = documentSigner(h.secrets.documentSigningKey.value);
    const document = signDocument(signer, CONSENT_RECEIPT_TYPE, { ...contentOf(receipt), events: [] });
    expect(await verify(JSON.stringify(document))).toMatch(/not a consent receipt/);
  });

  it('does not exist for a consent that does not, and not for one that was never granted', async () => {
    expect((await h.app.get(`/app/v1/consents/${nobody}/receipt`)).status).toBe(404);
    expect((await h.app.get('/app/v1/consents/x/receipt')).status).toBe(400);
    await h.owner.consent.update({ where: { id: consentId }, data: { status: 'offered' } });
    expect((await h.app.get(`/app/v1/consents/${consentId}/receipt`)).status).toBe(409);
  });
});
