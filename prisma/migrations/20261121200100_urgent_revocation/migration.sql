-- A client's secret is in wrong hands: leaves the successor valid and no other secret, and ends the tokens that were got
-- with another. As long as the client has not shown the successor, that is all of them. A planned retirement
-- (accept_only_client_secret) leaves tokens alone. Never leaves no secret: of a hash that is not there nothing comes.
CREATE FUNCTION revoke_other_client_secrets(client text, hash text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM "oauth_clients" WHERE id = client AND own_integration(integration) AND hash = ANY (secret_hashes) FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE "oauth_clients" SET secret_hashes = ARRAY[hash] WHERE id = client AND secret_hashes <> ARRAY[hash];
  IF FOUND OR NOT EXISTS (SELECT FROM "secret_sightings" WHERE client_id = client AND sha256 = hash) THEN
    DELETE FROM "oidc_payloads" WHERE payload ->> 'clientId' = client;
  END IF;
END $$;
REVOKE ALL ON FUNCTION revoke_other_client_secrets(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION revoke_other_client_secrets(text, text) TO domovoy_smart_home, domovoy_communal;
