import type { Adapter, AdapterPayload, ClientMetadata } from 'oidc-provider';
import { thumbprintsOf } from '../announced-credentials';
import { findClientRow, registeredScopes, usesTokens } from './client-row';
import type { Database } from '../../prisma/database';
import type { Prisma } from '../../prisma/generated/client';

/** PostgreSQL behind oidc-provider: its seven methods, by model. Clients come from their own table. */
export function createAdapterFactory(database: Database): (model: string) => Adapter {
  return (model) => {
    const at = (id: string) => ({ model_id: { model, id } });
    return {
      async upsert(id, payload, expiresIn) {
        const row = {
          payload: payload as Prisma.InputJsonObject,
          grantId: payload.grantId ?? null,
          expiresAt: expiresIn ? new Date(Date.now() + expiresIn * 1_000) : null,
        };
        await database.oidcPayload.upsert({ where: at(id), create: { model, id, ...row }, update: row });
      },
      async find(id) {
        if (model === 'Client') return findClient(database, id);
        const row = await database.oidcPayload.findUnique({ where: at(id) });
        if (!row || (row.expiresAt !== null && row.expiresAt.getTime() <= Date.now())) return undefined;
        const consumed = row.consumedAt ? { consumed: Math.floor(row.consumedAt.getTime() / 1_000) } : {};
        return { ...(row.payload as AdapterPayload), ...consumed };
      },
      findByUid: () => Promise.resolve(undefined),
      findByUserCode: () => Promise.resolve(undefined),
      async consume(id) {
        await database.oidcPayload.updateMany({ where: { model, id }, data: { consumedAt: new Date() } });
      },
      async destroy(id) {
        await database.oidcPayload.deleteMany({ where: { model, id } });
      },
      async revokeByGrantId(grantId) {
        await database.oidcPayload.deleteMany({ where: { grantId } });
      },
    };
  };
}

async function findClient(database: Database, id: string): Promise<ClientMetadata | undefined> {
  const row = await findClientRow(database, id);
  if (!row?.active || !usesTokens(row)) return undefined;
  if (row.authMethod === 'tls_client_auth' && !row.certificateName) return undefined;
  const scopes = registeredScopes(row);
  const thumbprints = row.authMethod === 'tls_client_auth' ? await thumbprintsOf(database, row.partnerId) : null;
  return {
    client_id: row.id,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: 'EdDSA',
    // The library takes no empty one; without it provider.ts lets no scope through.
    ...(scopes.length > 0 && { scope: scopes.join(' ') }),
    audience: row.audience,
    ...(row.integration !== null && { integration: row.integration }),
    token_endpoint_auth_method: row.authMethod as 'client_secret_basic' | 'tls_client_auth',
    ...(row.authMethod === 'tls_client_auth'
      ? {
          tls_client_auth_san_dns: row.certificateName ?? '',
          tls_client_certificate_bound_access_tokens: true,
          ...(thumbprints !== null && { certificateThumbprints: thumbprints }),
        }
      : // The library wants a secret to be there; ours are hashes in the row, compared in provider.ts.
        { client_secret: 'kept-as-hashes', secretHashes: row.secretHashes }),
  };
}
