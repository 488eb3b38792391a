-- A function that acts as the owner of the tables has to find those tables and no others. PostgreSQL looks for a table
-- among the caller's temporary ones first unless `pg_temp` is named (CREATE FUNCTION, "Writing SECURITY DEFINER Functions
-- Safely"): it comes last here, for each such function that there is.
DO $$
DECLARE f regprocedure;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = public, pg_temp', f);
  END LOOP;
  -- Nobody makes temporary tables here.
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
