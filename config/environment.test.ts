import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readApiConfiguration, readCoreConfiguration, readWorkerConfiguration } from './environment';

const ring = `k1:${randomBytes(32).toString('base64')}`;
const complete = {
  HEALTH_PORT: '9101',
  DATABASE_URL: 'postgresql://worker:canary-password@127.0.0.1/db',
  KEY_STORE_URL: 'postgresql://worker:canary-password@127.0.0.1/keys',
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

  it('gives the key that signs documents to the core worker, and to no integration', () => {
    const pem = '-----BEGIN PRIVATE KEY-----';
    const folders = { JOURNAL_HEADS_DIR: 'heads', ERASURES_DIR: 'erasures', ERASURE_SEARCH_DIRS: 'logs, spool' };
    const operator = { OPERATOR_NAME: 'Company', OPERATOR_ADDRESS: 'Street' };
    const backups = { BACKUP_RETENTION_DAYS: '30', KEY_STORE_BACKUP_DAYS: '0' };
    const act = { ...backups, ERASURE_RESPONSIBLE_NAME: 'A', ERASURE_RESPONSIBLE_POSITION: 'B' };
    const env = { ...complete, DOCUMENT_SIGNING_KEY: pem, ...folders, ...operator, ...act };
    expect(readCoreConfiguration(env).secrets.DOCUMENT_SIGNING_KEY).toBe(pem);
    expect(readCoreConfiguration(env).secrets).not.toHaveProperty('BILLING_SECRET');
    expect(JSON.stringify(readWorkerConfiguration(env))).not.toContain(pem);
    expect(() => readCoreConfiguration(complete)).toThrow(/JOURNAL_HEADS_DIR[^]*DOCUMENT_SIGNING_KEY/);
    expect(readCoreConfiguration(env).settings.ERASURE_SEARCH_DIRS).toEqual(['logs', 'spool']);
    for (const KEY_STORE_BACKUP_DAYS of [undefined, '', '-1', '1.5', '3661', 'none']) {
      expect(() => readCoreConfiguration({ ...env, KEY_STORE_BACKUP_DAYS })).toThrow(/KEY_STORE_BACKUP_DAYS/);
    }
    for (const ERASURE_SEARCH_DIRS of [undefined, '', ' , ']) {
      expect(() => readCoreConfiguration({ ...env, ERASURE_SEARCH_DIRS })).toThrow(/ERASURE_SEARCH_DIRS/);
    }
  });

  it('says how many failed identifications are borne, and takes no number that would bear them all', () => {
    const faults = (value: string): string => {
      try {
        readApiConfiguration({ ...complete, LOCKOUT_DEVICE_ATTEMPTS: value });
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(faults('3')).not.toContain('LOCKOUT_DEVICE_ATTEMPTS');
    for (const value of ['0', '-1', '2.5', '1000000', 'never'])
      expect(faults(value)).toContain('LOCKOUT_DEVICE_ATTEMPTS');
  });

  it('takes no empty value for a number: a face threshold of nothing would let everybody in', () => {
    for (const value of ['', ' ']) {
      expect(() => readApiConfiguration({ ...complete, FACE_THRESHOLD: value })).toThrow('FACE_THRESHOLD: is empty');
    }
  });

  it('takes a secret from a file when NAME_FILE says so', () => {
    const file = join(mkdtempSync(join(tmpdir(), 'domovoy-')), 'secret');
    writeFileSync(file, 'a-secret-that-came-from-a-file\n');
    const { secrets } = readWorkerConfiguration({ ...complete, BILLING_SECRET: 'unused', BILLING_SECRET_FILE: file });
    expect(secrets.BILLING_SECRET).toBe('a-secret-that-came-from-a-file');
  });
});

describe('the configuration of staff', () => {
  const staff = { STAFF_ISSUER: 'https://id.example', STAFF_CLIENT_ID: 'domovoy', STAFF_ROLES: '{"a":["operations"]}' };
  /** What is wrong with it, besides what this test leaves out. */
  const faults = (env: NodeJS.ProcessEnv): string[] => {
    try {
      readApiConfiguration(env);
      return [];
    } catch (error) {
      return (error as Error).message.split('\n').filter((line) => line.includes('STAFF_') && !line.includes('SECRET'));
    }
  };
  const others = {
    ...complete,
    API_PUBLIC_URL: 'https://api.example',
    API_TLS_CERT_FILE: 'cert.pem',
    CLIENT_CA_FILE: 'ca.pem',
    OPERATOR_NAME: 'Company',
    OPERATOR_ADDRESS: 'Street',
  };

  it('is taken when it says who has which role', () => {
    expect(faults({ ...others, ...staff })).toEqual([]);
  });

  it.each(['{"a":["admin"]}', '{"a":["integration-manager"]}', '{"a":"operations"}', '[]', 'x'])(
    'is refused with the roles %s',
    (STAFF_ROLES) => {
      expect(faults({ ...others, ...staff, STAFF_ROLES })).toHaveLength(1);
    },
  );

  it('is refused when nothing says that a second factor was checked', () => {
    expect(faults({ ...others, ...staff, STAFF_MFA_AMR: '', STAFF_MFA_ACR: '' }).join()).toContain('mandatory');
  });
});
