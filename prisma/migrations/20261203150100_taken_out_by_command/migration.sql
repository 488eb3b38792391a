-- Who takes the journal or logs out with the command reads and writes nothing: this one entry leaves before anything does.
CREATE FUNCTION note_taken_out(what text, part text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF what IS NULL OR what NOT IN ('journal-export', 'log-reading')
     OR part IS NULL OR part !~ '^[a-z]{1,20}(,[a-z]{1,20}){0,9}$' THEN
    RAISE EXCEPTION 'nothing of this kind is taken out';
  END IF;
  INSERT INTO "journal_entries" (kind, object_id, actor, outcome, reason)
    VALUES (what, gen_random_uuid()::text, 'login/' || session_user, 'by-command', part);
END $$;
REVOKE ALL ON FUNCTION note_taken_out(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_taken_out(text, text) TO domovoy_auditor;
