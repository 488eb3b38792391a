import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readWorkerConfiguration } from './environment';

const ring = `k1:${randomBytes(32).toString('base64')}`;
const complete = {
  HEALTH_PORT: '9101',
  DATABASE_URL: 'postgresql://worker:canary-password@127.0.0.1/db',
  KEY_ENCRYPTION_KEYS: ring,
  PAYLOAD_KEYS: ring,
  BILLING_URL: 'https://localhost:9450',
  BILLING_CA_FILE: 'ca.pem',
  BILLING_SECRET: 'a-billing-secret-of-some-length',
};

describe('the configuration', () => {
  it('is read with its defaults', () => {
    const { settings, secrets } = readWorkerConfiguration(complete);
    expect(settings).toMatchObject({ HEALTH_PORT: 9101, OPEN_WITHIN_MS: 5_000 });
    expect(secrets.KEY_ENCRYPTION_KEYS?.currentId).toBe('k1');
  });

  it('names every variable at fault and shows no value', () => {
    const broken = { ...complete, HEALTH_PORT: 'ninety', PAYLOAD_KEYS: 'k1:canaryshort', BILLING_SECRET: undefined };
    const message = (() => {
      try {
        readWorkerConfiguration(broken);
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(message).toMatch(/HEALTH_PORT/);
    expect(message).toMatch(/PAYLOAD_KEYS/);
    expect(message).toMatch(/BILLING_SECRET/);
    expect(message).not.toMatch(/canary|ninety/);
  });

  it('takes a secret from a file when NAME_FILE says so', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'domovoy-')), 'secret');
    writeFileSync(file, 'a-secret-that-came-from-a-file\n');
    const { secrets } = readWorkerConfiguration({ ...complete, BILLING_SECRET: 'unused', BILLING_SECRET_FILE: file });
    expect(secrets.BILLING_SECRET).toBe('a-secret-that-came-from-a-file');
  });
});
