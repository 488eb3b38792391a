import { z } from 'zod';

export const PluginSessionRequest = z
  .strictObject({
    residentId: z.uuid().describe('The resident in whose app the plugin starts'),
    partnerId: z.string().min(1).max(64).describe('The partner whose plugin it is'),
  })
  .meta({ id: 'PluginSessionRequest' });

export const PluginSessionView = z
  .object({
    clientId: z.uuid().describe("The resident's id at this partner and at no other (R0.10)"),
    token: z.string().describe('Shown this once; asking again gives another and ends this one'),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'PluginSession', description: "What a partner's plugin is initialized with (R0.1, R0.2)" });

export const PluginTokenCheck = z
  .strictObject({
    token: z.string().min(1).max(256).describe('The token that came with the biometrics'),
    clientId: z.string().min(1).max(128).describe('The client id that came with them'),
  })
  .meta({ id: 'PluginTokenCheck' });

export const PluginTokenVerdict = z.object({ valid: z.boolean() }).meta({ id: 'PluginTokenVerdict' });

/** Refused checks for one client id, and by one partner in all, before further ones are not looked at (R2.6). */
export const PLUGIN_TOKEN_GUESSES = { forClientId: 10, byPartner: 300, withinS: 300, forS: 900 } as const;
