-- Whether this very database was compared with the ledger of erasures (docs/adr/0078): one that was restored from a
-- backup brings people back who were erased since, and opens nothing before they are denied again.

-- CreateTable
CREATE TABLE "restore_checks" (
    "id" INTEGER NOT NULL,
    "incarnation" TEXT NOT NULL,
    "written_by" TEXT NOT NULL,
    "checked_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "restore_checks_pkey" PRIMARY KEY ("id")
);
ALTER TABLE "restore_checks" ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON "restore_checks" FOR SELECT TO domovoy_api USING (true);
CREATE POLICY core ON "restore_checks" TO domovoy_core USING (true);
GRANT SELECT ON "restore_checks" TO domovoy_api, domovoy_core;
GRANT INSERT, UPDATE ON "restore_checks" TO domovoy_core;

-- A copy of the files comes with a start of the server, a dump with rows that other transactions wrote, a copy of the
-- database with another oid: a row that says all three was written here and not brought along.
CREATE FUNCTION database_incarnation() RETURNS text LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT concat_ws(' ', (SELECT oid FROM pg_database WHERE datname = current_database()),
    extract(epoch FROM pg_postmaster_start_time())) $$;
CREATE FUNCTION is_compared_with_ledger() RETURNS boolean LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM "restore_checks" WHERE incarnation = database_incarnation() AND written_by = xmin::text) $$;
CREATE FUNCTION note_compared_with_ledger() RETURNS void LANGUAGE sql SET search_path = public, pg_temp AS $$
  INSERT INTO "restore_checks" (id, incarnation, written_by)
    VALUES (1, database_incarnation(), pg_current_xact_id()::xid::text)
    ON CONFLICT (id) DO UPDATE
      SET incarnation = EXCLUDED.incarnation, written_by = EXCLUDED.written_by, checked_at = CURRENT_TIMESTAMP $$;
