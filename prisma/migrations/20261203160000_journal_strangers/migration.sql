-- What no process of ours wrote gets no place in the journal (docs/adr/0086, 0087).

ALTER TABLE "journal_entries" ADD COLUMN "mac" TEXT;
GRANT INSERT ("mac") ON "journal_entries" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;

ALTER TABLE "journal_pending" ADD COLUMN "by_stranger" BOOLEAN NOT NULL DEFAULT false;
-- The sealer says so of what it does not believe.
GRANT UPDATE ("by_stranger") ON "journal_pending" TO domovoy_core;

-- Who logged in, not on whose behalf: here that is the owner, because the function runs as the owner. An auditor may insert
-- nothing but what a function of ours inserts for it.
CREATE OR REPLACE FUNCTION journal_note_pending() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO "journal_pending" (entry_seq, entry_at, by_stranger)
  SELECT w.seq, w.at, login.rolsuper OR login.rolname = current_user OR NOT (
      pg_has_role(login.oid, 'domovoy_api', 'USAGE') OR pg_has_role(login.oid, 'domovoy_core', 'USAGE')
      OR pg_has_role(login.oid, 'domovoy_smart_home', 'USAGE') OR pg_has_role(login.oid, 'domovoy_communal', 'USAGE')
      OR pg_has_role(login.oid, 'domovoy_auditor', 'USAGE'))
  FROM written w, pg_catalog.pg_roles login WHERE login.rolname = session_user;
  RETURN NULL;
END $$;
