-- Since when this very database is compared: a worker `core` that only started again does not begin that anew.
CREATE OR REPLACE FUNCTION note_compared_with_ledger() RETURNS void LANGUAGE sql SET search_path = public, pg_temp AS $$
  INSERT INTO "restore_checks" AS known (id, incarnation, written_by)
    VALUES (1, database_incarnation(), pg_current_xact_id()::xid::text)
    ON CONFLICT (id) DO UPDATE
      SET incarnation = EXCLUDED.incarnation, written_by = EXCLUDED.written_by,
          checked_at = CASE WHEN known.incarnation = EXCLUDED.incarnation AND known.written_by = known.xmin::text
                            THEN known.checked_at ELSE CURRENT_TIMESTAMP END $$;
