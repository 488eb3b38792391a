import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { openHeadsFolder, type HeadsFolder } from '../../journal/heads-folder';
import { exportHeads, signHead } from '../../journal/sealing';
import { placeEntries } from '../../journal/tree';
import { openDatabase, type Database } from '../../prisma/database';
import { documentSigner, type DocumentSigner } from '../../vault/document-signature';
import { createTestDatabase, type TestDatabase } from './database';

/** A database with a journal, everything that seals it, and a superuser who may do what nobody should. */
export type TestJournal = {
  readonly db: TestDatabase;
  readonly core: Database;
  readonly auditor: Database;
  readonly signer: DocumentSigner;
  readonly headsPath: string;
  readonly outside: HeadsFolder;
  /** Writes entries as an integration's worker does. */
  write(objectIds: readonly string[]): Promise<void>;
  /** One turn of the schedule. */
  seal(): Promise<number>;
  /** Runs SQL with every trigger and rule of the tables switched off. */
  tamper(sql: string): Promise<void>;
  close(): Promise<void>;
};

export async function createTestJournal(): Promise<TestJournal> {
  const db = await createTestDatabase();
  const core = openDatabase(db.urlFor('domovoy_core'), 4);
  const auditor = openDatabase(db.urlFor('domovoy_auditor'), 2);
  const signer = newDocumentSigner();
  const headsPath = mkdtempSync(join(tmpdir(), 'domovoy-heads-'));
  const outside = openHeadsFolder(headsPath);
  const writer = await connect(db.urlFor('domovoy_smart_home'));
  const superuser = await connect(db.ownerUrl);
  await superuser.query(`SET session_replication_role = 'replica'`);
  return {
    db,
    core,
    auditor,
    signer,
    headsPath,
    outside,
    async write(objectIds) {
      for (const objectId of objectIds) await writer.query(INSERT_ENTRY, [objectId]);
    },
    async seal() {
      while ((await placeEntries(core, 500)) > 0);
      const size = await signHead(core, signer, outside);
      await exportHeads(core, outside);
      return size;
    },
    async tamper(sql) {
      await superuser.query(sql);
    },
    async close() {
      await Promise.all([writer.end(), superuser.end(), core.$disconnect(), auditor.$disconnect()]);
      await db.drop();
    },
  };
}

export const INSERT_ENTRY = `INSERT INTO journal_entries (integration, kind, object_id, actor, outcome)
  VALUES ('smart-home', 'opening', $1, 'app', 'opened')`;

export const newDocumentSigner = (): DocumentSigner =>
  documentSigner(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());

export async function connect(connectionString: string): Promise<Client> {
  const client = new Client({ connectionString });
  await client.connect();
  return client;
}
