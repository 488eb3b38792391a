import { SCOPES } from './resources';

/** Below the issuer. */
export const ENDPOINTS = {
  token: '/token',
  introspection: '/introspect',
  revocation: '/revoke',
  jwks: '/jwks',
} as const;

export const CLIENT_AUTH_METHODS = ['client_secret_basic', 'tls_client_auth'] as const;

/**
 * The metadata of RFC 8414. Not the library's: that tells of flows which are off, and makes its addresses from the
 * Host header.
 */
export const metadata = (issuer: string): object => ({
  issuer,
  token_endpoint: issuer + ENDPOINTS.token,
  introspection_endpoint: issuer + ENDPOINTS.introspection,
  revocation_endpoint: issuer + ENDPOINTS.revocation,
  jwks_uri: issuer + ENDPOINTS.jwks,
  scopes_supported: Object.values(SCOPES).flat(),
  response_types_supported: [],
  grant_types_supported: ['client_credentials'],
  token_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
  introspection_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
  revocation_endpoint_auth_methods_supported: CLIENT_AUTH_METHODS,
  tls_client_certificate_bound_access_tokens: true,
});
