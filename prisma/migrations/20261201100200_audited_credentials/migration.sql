-- For the security audit (R4.6): which clients still have a secret kept by a fast hash, which nobody has used since slow
-- ones were there (docs/adr/0041). The hashes themselves are not for its reader.
CREATE FUNCTION clients_with_fast_hashes() RETURNS TABLE (client_id text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT c.id FROM "oauth_clients" c
  WHERE c.active AND EXISTS (SELECT FROM unnest(c.secret_hashes) AS kept (hash) WHERE kept.hash ~ '^[0-9a-f]{64}$')
  ORDER BY c.id
$$;
REVOKE ALL ON FUNCTION clients_with_fast_hashes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clients_with_fast_hashes() TO domovoy_core, domovoy_auditor;
