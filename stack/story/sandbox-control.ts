import { randomUUID } from 'node:crypto';
import { createClient } from './http';

export type Sighting = {
  readonly seen: string;
  /** What a partner that holds plates did by itself. */
  readonly opened?: { readonly at: string };
  readonly company: { readonly status: number | null; readonly body: Record<string, unknown> } | null;
};

/** A house as the partner lists its equipment. */
export type EquipmentHouse = {
  readonly id: string;
  readonly devices: readonly {
    readonly id: string;
    readonly kind: string;
    readonly name: string;
    readonly online: boolean;
  }[];
};

export type HeldFace = {
  readonly clientId: string;
  readonly houseId: string;
  readonly state: string;
  readonly keptSecretly: boolean;
};

/** The control ports of the sandbox, as a story or a test uses them. */
export function createSandbox(options: { controlUrl: string }) {
  const http = createClient(null);
  return {
    /** Holds a picture in front of a camera; says what the camera made of it and what we answered. */
    async showFace(partnerId: string, deviceId: string, picture: Buffer, variant: 'a' | 'b' = 'b'): Promise<Sighting> {
      const { body } = await http.send(
        `${options.controlUrl}/partners/${partnerId}/cameras/${deviceId}/faces?variant=${variant}`,
        {
          method: 'POST',
          headers: { 'content-type': 'image/jpeg' },
          body: picture,
        },
      );
      return body as unknown as Sighting;
    },
    /** Drives a plate before a reader; says what the partner made of it and what we answered. */
    async showPlate(
      partnerId: string,
      deviceId: string,
      plate: string,
      how: { idempotencyKey?: string | undefined; variant?: 'a' | 'b' } = {},
    ): Promise<Sighting> {
      const { body } = await http.send(`${options.controlUrl}/partners/${partnerId}/readers/${deviceId}/plates`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ plate, ...how }),
      });
      return body as unknown as Sighting;
    },
    /** Somebody asks the partner at a device, which relays it to us under the client id that it knows them by. */
    async askAtDevice(partnerId: string, deviceId: string, clientId: string): Promise<Sighting> {
      const url = `${options.controlUrl}/partners/${partnerId}/devices/${deviceId}/requests`;
      const { body } = await http.send(url, json('POST', { clientId, idempotencyKey: randomUUID() }));
      return body as unknown as Sighting;
    },
    /** The plates that a partner says of itself to hold. */
    async platesHeld(partnerId: string): Promise<{ plate: string; houseId: string }[]> {
      const { body } = await http.send(`${options.controlUrl}/partners/${partnerId}/holdings`, {});
      return (body['plates'] as { held: { plate: string; houseId: string }[] }).held;
    },
    /** Turns a key in a door, or holds a fob before a barrier; the partner reports it by itself. */
    async useCarrier(partnerId: string, deviceId: string, carrier: 'key' | 'fob'): Promise<string> {
      const url = `${options.controlUrl}/partners/${partnerId}/devices/${deviceId}/${carrier}s`;
      const { body } = await http.send(url, json('POST', { [`${carrier}Id`]: `${carrier}-1` }));
      return String(body['eventId']);
    },
    /** Whether we took in what the partner reported. */
    async wasDelivered(partnerId: string, eventId: string): Promise<boolean> {
      const { body } = await http.send(`${options.controlUrl}/partners/${partnerId}/outbox`, {});
      const events = body['events'] as { eventId: string; state: string }[];
      return events.some((event) => event.eventId === eventId && event.state === 'delivered');
    },
    /** How many effects the partner's own ledger has under this idempotency key. */
    async effects(partnerId: string, key: string): Promise<number> {
      const query = new URLSearchParams({ partner: partnerId, key }).toString();
      const { body } = await http.send(`${options.controlUrl}/ledger?${query}`, {});
      return (body['entries'] as unknown[]).length;
    },
    async equipment(partnerId: string): Promise<EquipmentHouse[]> {
      const { body } = await http.send(`${options.controlUrl}/partners/${partnerId}/equipment`, {});
      return body['houses'] as EquipmentHouse[];
    },
    async setEquipment(partnerId: string, houses: readonly EquipmentHouse[]): Promise<void> {
      await http.send(`${options.controlUrl}/partners/${partnerId}/equipment`, json('PUT', { houses }));
    },
    /** Lets a partner call our API, in its own way of proving itself; says what we answered. */
    async callCompany(
      partnerId: string,
      path: string,
      body: object,
    ): Promise<{ readonly status: number | null; readonly body: Record<string, unknown> }> {
      const call = { path, body, idempotencyKey: randomUUID(), attempts: 3 };
      const answer = await http.send(`${options.controlUrl}/partners/${partnerId}/company-calls`, json('POST', call));
      return answer.body as unknown as { status: number | null; body: Record<string, unknown> };
    },
    /** Lets a partner read of our API. */
    async readCompany(
      partnerId: string,
      path: string,
    ): Promise<{ readonly status: number | null; readonly body: Record<string, unknown> }> {
      const call = { method: 'GET', path, attempts: 3 };
      const answer = await http.send(`${options.controlUrl}/partners/${partnerId}/company-calls`, json('POST', call));
      return answer.body as unknown as { status: number | null; body: Record<string, unknown> };
    },
    /** The partner's own book of faces; of one that is `deleted` nothing is left but that it was there. */
    async faces(partnerId: string): Promise<HeldFace[]> {
      const { body } = await http.send(`${options.controlUrl}/partners/${partnerId}/holdings`, {});
      return body['faces'] as HeldFace[];
    },
    close: http.close,
  };
}
const json = (method: string, body: object) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

export type Sandbox = ReturnType<typeof createSandbox>;
