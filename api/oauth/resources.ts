/** Audiences of our own APIs, and what may be asked for in each. */
export const AUDIENCES = ['app', 'partner', 'registry'] as const;
export type Audience = (typeof AUDIENCES)[number];

export const SCOPES: Readonly<Record<Audience, readonly string[]>> = {
  app: ['app'],
  partner: [
    'openings:request',
    'resident-requests',
    'plugin-tokens:verify',
    'webhooks:deliver',
    'obligations',
    'credentials:announce',
  ],
  registry: ['property-sales:report'],
};

export const ACCESS_TOKEN_LIFE_S = 300;

/** The resource indicator (RFC 8707) and audience of one of our APIs. */
export const resourceUrl = (publicUrl: string, audience: Audience): string => `${publicUrl}/${audience}/v1`;

export const issuerUrl = (publicUrl: string): string => `${publicUrl}/oauth`;

export const audienceOf = (publicUrl: string, resource: string): Audience | undefined =>
  AUDIENCES.find((audience) => resourceUrl(publicUrl, audience) === resource);
