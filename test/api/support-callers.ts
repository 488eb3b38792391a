import { createPrivateKey, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Agent, request as send } from 'undici';
import { documentOf } from '../../api/composition';
import { hashSecret } from '../../vault/secret-hash';
import { signRequest, type SigningKey } from '../../partners/message-signature';
import { APP_CLIENT_ID, REGISTRY_CLIENT_ID, REGISTRY_KEY_ID } from '../../stack/town';
import type { Harness } from '../support/harness';
import { basic, FORM, newSecret } from './support-authorization';

export type Asked = {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
};
export type Answered = {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  readonly body: { readonly type?: string; readonly errors?: readonly { readonly field: string }[] };
};
/** Asks the API as one of those who may call it, in that one's own way of proving who it is. */
export type Ask = (asked: Asked) => Promise<Answered>;

export type Callers = {
  readonly nobody: Ask;
  readonly app: Ask;
  /** Partner with an OAuth token. */
  readonly vizor: Ask;
  /** Partner with a token that is bound to its certificate. */
  readonly shlagbaum: Ask;
  /** Partner with Basic and a signature over each message. */
  readonly kluch: Ask;
  /** What kluch would send: for who sends it again. */
  signedByKluch(asked: Asked): Promise<Asked>;
  /** The bound token of shlagbaum over a connection without its certificate. */
  readonly withoutCertificate: Ask;
  /** A good password and no signature. */
  readonly unsigned: Ask;
  /** @returns the answer of the token endpoint to a client with a secret */
  token(clientId: string, secret: string, form?: Readonly<Record<string, string>>): Promise<Answered>;
  bearing(token: string): Ask;
  /** The property registry. */
  readonly registry: Ask;
  /** A client of the app's audience that may do nothing. */
  readonly scopeless: Ask;
  close(): Promise<void>;
};

/** Everybody who calls the API of a harness. Contracts are widened, so that a limit is met only where a test sets one. */
export async function startCallers(h: Harness): Promise<Callers> {
  const agent = new Agent({ connect: { ca: h.caPem } });
  const { certificate, key } = h.certificates.shlagbaumClient;
  const holder = new Agent({ connect: { ca: h.caPem, cert: readFileSync(certificate), key: readFileSync(key) } });
  const signing = { keyId: 'kluch-1', key: createPrivateKey(h.secrets.fromKluchSigningKey.value) };
  const kluchBasic = basic('kluch', h.secrets.fromKluchPassword.value);
  await h.owner.partner.updateMany({ data: { inboundPerSecond: 100_000, inboundConcurrency: 1_000 } });

  async function ask(dispatcher: Agent, { method, path, headers = {}, body }: Asked): Promise<Answered> {
    const answer = await send(h.apiUrl + path, {
      method: method as 'POST',
      dispatcher,
      headers: { ...headers },
      ...(body !== undefined && body.length > 0 && { body }),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, text, body: parsed(text) };
  }
  const as =
    (authorization: string, dispatcher = agent): Ask =>
    (asked) =>
      ask(dispatcher, { ...asked, headers: { authorization, ...asked.headers } });

  async function signedWith(key: SigningKey, authorization: string, asked: Asked): Promise<Asked> {
    const { method, path, body = '' } = asked;
    const headers = { authorization, ...asked.headers };
    const message = { method, url: h.apiUrl + path, headers, body: Buffer.from(body) };
    return { ...asked, headers: { ...headers, ...(await signRequest(message, key, Date.now())) } };
  }
  const signedByKluch = (asked: Asked): Promise<Asked> => signedWith(signing, kluchBasic, asked);

  const token = (clientId: string, secret: string, form: Readonly<Record<string, string>> = {}) =>
    as(basic(clientId, secret))({
      method: 'POST',
      path: '/oauth/token',
      headers: FORM,
      body: new URLSearchParams({ grant_type: 'client_credentials', ...form }).toString(),
    });
  const bearerOf = ({ text }: Answered): string =>
    `Bearer ${(JSON.parse(text) as { access_token: string }).access_token}`;

  const app = bearerOf(await token(APP_CLIENT_ID, h.secrets.appClient.value));
  const vizor = bearerOf(await token('vizor', h.secrets.fromVizorSecret.value));
  const shlagbaum = bearerOf(
    await ask(holder, {
      method: 'POST',
      path: '/oauth/token',
      headers: FORM,
      body: 'grant_type=client_credentials&client_id=shlagbaum',
    }),
  );
  const registryToken = bearerOf(await token(REGISTRY_CLIENT_ID, h.secrets.registryClient.value));
  const registryKey = { keyId: REGISTRY_KEY_ID, key: createPrivateKey(h.secrets.registrySigningKey.value) };
  const secret = newSecret();
  const scopeless = { id: 'scopeless', audience: 'app', authMethod: 'client_secret_basic', scopes: [] };
  await h.owner.oAuthClient.create({ data: { ...scopeless, secretHashes: [hashSecret(secret)] } });

  return {
    nobody: (asked) => ask(agent, asked),
    app: as(app),
    vizor: as(vizor),
    shlagbaum: as(shlagbaum, holder),
    withoutCertificate: as(shlagbaum),
    unsigned: as(kluchBasic),
    scopeless: as(bearerOf(await token('scopeless', secret))),
    registry: async (asked) => ask(agent, await signedWith(registryKey, registryToken, asked)),
    kluch: async (asked) => ask(agent, await signedByKluch(asked)),
    signedByKluch,
    token,
    bearing: (value) => as(`Bearer ${value}`),
    async close() {
      await Promise.all([agent.close(), holder.close()]);
    },
  };
}

function parsed(text: string): Answered['body'] {
  try {
    return JSON.parse(text) as Answered['body'];
  } catch {
    return {};
  }
}

type Audience = 'app' | 'partner' | 'staff' | 'registry';
export type DescribedOperation = {
  readonly id: string;
  readonly audience: Audience;
  readonly method: 'GET' | 'POST';
  /** With `{name}` for parameters. */
  readonly path: string;
  readonly scope: string;
  readonly bodyTypes: readonly string[];
  readonly query: readonly string[];
  readonly wantsKey: boolean;
};

type Described = {
  operationId: string;
  security: { oauth?: string[] }[];
  parameters?: { in: string; name: string }[];
  requestBody?: { content: object };
};

/** Every operation, as the document has it. */
export const ALL_OPERATIONS: readonly DescribedOperation[] = Object.entries(
  (documentOf('https://api.example') as { paths: Record<string, Record<string, Described>> }).paths,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { operationId, security, parameters = [], requestBody }]) => ({
    id: operationId,
    audience: (path.split('/')[1] ?? '') as Audience,
    method: method === 'get' ? 'GET' : 'POST',
    path,
    scope: security[0]?.oauth?.[0] ?? '',
    bodyTypes: Object.keys(requestBody?.content ?? {}),
    query: parameters.filter((each) => each.in === 'query').map(({ name }) => name),
    wantsKey: parameters.some(({ name }) => name === 'Idempotency-Key'),
  })),
);

/**
 * Those for the app and for partners. Staff have a walk of their own (staff-permissions.test.ts), and the registry its
 * tests beside what a sale does (property-sale.test.ts).
 */
export const OPERATIONS = ALL_OPERATIONS.filter(({ audience }) => audience === 'app' || audience === 'partner');

/** A new key, as clients that mean well send one. */
export const newKey = (): Record<string, string> => ({ 'idempotency-key': randomUUID() });
