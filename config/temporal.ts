import { Connection, Client, type ConnectionOptions, type DataConverter } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { createPayloadCodec } from '../vault/payload-codec';
import { correlatedClient } from './correlated-client';
import { joiningClient } from './joining-client';
import type { KeyRing } from './environment';

export function dataConverterWith({ keys, currentId }: KeyRing): DataConverter {
  return {
    payloadCodecs: [createPayloadCodec(keys, currentId)],
    failureConverterPath: require.resolve('./failure-converter'),
  };
}

type TemporalAddress = Pick<ConnectionOptions, 'address' | 'tls' | 'metadata'> & { apiKey?: string };

/** Address, TLS and namespace as every Temporal program takes them: `TEMPORAL_*` variables or a temporal.toml. */
export function temporalAddress(): { connectionOptions: TemporalAddress; namespace: string } {
  const { connectionOptions, namespace } = loadClientConnectConfig();
  const { address, tls, apiKey, metadata } = connectionOptions;
  return {
    connectionOptions: {
      ...(address !== undefined && { address }),
      ...(tls !== undefined && { tls }),
      ...(typeof apiKey === 'string' && { apiKey }),
      ...(metadata !== undefined && { metadata }),
    },
    namespace: namespace ?? 'default',
  };
}

/** What every call of a client about workflows goes through. */
export const WORKFLOW_INTERCEPTORS = [correlatedClient, joiningClient];

/** A client whose payloads are encrypted under the newest key of the ring. */
export async function connectTemporal(payloadKeys: KeyRing): Promise<Client> {
  const { connectionOptions, namespace } = temporalAddress();
  const connection = await Connection.connect({ ...connectionOptions, connectTimeout: '20 seconds' });
  return new Client({
    connection,
    namespace,
    dataConverter: dataConverterWith(payloadKeys),
    interceptors: { workflow: WORKFLOW_INTERCEPTORS },
  });
}
