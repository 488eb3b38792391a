-- The journal becomes a Merkle tree (docs/adr/0011): entries get a place and a hash when they are sealed.

ALTER TABLE "journal_entries" ADD COLUMN "subject" TEXT, ADD COLUMN "sealed" BYTEA;
CREATE INDEX "journal_entries_subject_idx" ON "journal_entries"("subject");

CREATE TABLE "journal_pending" (
    "entry_seq" BIGINT NOT NULL,

    CONSTRAINT "journal_pending_pkey" PRIMARY KEY ("entry_seq")
);

CREATE TABLE "journal_leaves" (
    "position" BIGINT NOT NULL,
    "entry_seq" BIGINT NOT NULL,
    "leaf_hash" BYTEA NOT NULL,

    CONSTRAINT "journal_leaves_pkey" PRIMARY KEY ("position")
);
CREATE UNIQUE INDEX "journal_leaves_entry_seq_key" ON "journal_leaves"("entry_seq");

CREATE TABLE "journal_nodes" (
    "level" SMALLINT NOT NULL,
    "index" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "journal_nodes_pkey" PRIMARY KEY ("level","index")
);

CREATE TABLE "journal_heads" (
    "tree_size" BIGINT NOT NULL,
    "root_hash" BYTEA NOT NULL,
    "document" JSONB NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "journal_heads_pkey" PRIMARY KEY ("tree_size")
);

-- Whoever writes an entry says so to the sealer, in the same transaction: a number in a table that nobody else waits
-- for. Sequence numbers alone would not do: they become visible out of order, and some never.
CREATE FUNCTION journal_note_pending() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  INSERT INTO "journal_pending" (entry_seq) SELECT seq FROM written;
  RETURN NULL;
END $$;
CREATE TRIGGER journal_entries_pending AFTER INSERT ON "journal_entries"
  REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION journal_note_pending();
INSERT INTO "journal_pending" (entry_seq) SELECT seq FROM "journal_entries";

-- The tree only grows.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['journal_leaves', 'journal_nodes', 'journal_heads'] LOOP
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
      FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', t || '_append_only', t);
  END LOOP;
END $$;

-- Processes write entries and cannot choose their number or time; integrations do not read them. Only core seals.
REVOKE SELECT, INSERT ON "journal_entries" FROM domovoy_smart_home, domovoy_communal;
REVOKE INSERT ON "journal_entries" FROM domovoy_api, domovoy_core;
GRANT INSERT ("integration", "kind", "object_id", "actor", "outcome", "reason", "subject", "sealed")
  ON "journal_entries" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;
GRANT SELECT, INSERT ON "journal_leaves", "journal_nodes", "journal_heads" TO domovoy_core;
GRANT SELECT, DELETE ON "journal_pending" TO domovoy_core;

-- Whoever exports and checks the journal (cli/) reads it and nothing else.
DO $$
BEGIN
  CREATE ROLE domovoy_auditor NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to this database
END $$;
GRANT USAGE ON SCHEMA public TO domovoy_auditor;
GRANT SELECT ON "journal_entries", "journal_pending", "journal_leaves", "journal_nodes", "journal_heads"
  TO domovoy_auditor;
CREATE POLICY auditor ON "journal_entries" FOR SELECT TO domovoy_auditor USING (true);
