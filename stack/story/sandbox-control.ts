import { createClient } from './http';

export type Sighting = {
  readonly seen: string;
  readonly company: { readonly status: number | null; readonly body: Record<string, unknown> } | null;
};

/** The control ports of the sandbox, as a story or a test uses them. */
export function createSandbox(options: { controlUrl: string }) {
  const http = createClient(null);
  return {
    /** Holds a picture in front of a camera; says what the camera made of it and what we answered. */
    async showFace(partnerId: string, deviceId: string, picture: Buffer): Promise<Sighting> {
      const { body } = await http.send(`${options.controlUrl}/partners/${partnerId}/cameras/${deviceId}/faces`, {
        method: 'POST',
        headers: { 'content-type': 'image/jpeg' },
        body: picture,
      });
      return body as unknown as Sighting;
    },
    /** How many effects the partner's own ledger has under this idempotency key. */
    async effects(partnerId: string, key: string): Promise<number> {
      const query = new URLSearchParams({ partner: partnerId, key }).toString();
      const { body } = await http.send(`${options.controlUrl}/ledger?${query}`, {});
      return (body['entries'] as unknown[]).length;
    },
    close: http.close,
  };
}
export type Sandbox = ReturnType<typeof createSandbox>;
