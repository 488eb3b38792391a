-- Secrets that clients show us are kept by slow hashes with a salt each (R4.4): what was seen is named by the hash that is
-- kept, not by another, fast one of the same secret. What is known of hashes that are kept no more goes.
ALTER TABLE "secret_sightings" RENAME COLUMN "sha256" TO "secret_hash";
DELETE FROM "secret_sightings" s
  WHERE NOT EXISTS (SELECT FROM "oauth_clients" c WHERE c.id = s.client_id AND s.secret_hash = ANY (c.secret_hashes));

CREATE OR REPLACE FUNCTION revoke_other_client_secrets(client text, hash text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM FROM "oauth_clients" WHERE id = client AND own_integration(integration) AND hash = ANY (secret_hashes) FOR UPDATE;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  UPDATE "oauth_clients" SET secret_hashes = ARRAY[hash] WHERE id = client AND secret_hashes <> ARRAY[hash];
  IF FOUND OR NOT EXISTS (SELECT FROM "secret_sightings" WHERE client_id = client AND secret_hash = hash) THEN
    DELETE FROM "oidc_payloads" WHERE payload ->> 'clientId' = client;
  END IF;
END $$;

-- Which hashes are good for a client of the caller's own integration: with a salt in each, they cannot be asked for one by one.
CREATE FUNCTION client_secret_hashes(client text) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT secret_hashes FROM "oauth_clients" WHERE id = client AND own_integration(integration)
$$;
REVOKE ALL ON FUNCTION client_secret_hashes(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION client_secret_hashes(text) TO domovoy_smart_home, domovoy_communal;
DROP FUNCTION accepts_client_secret(text, text);

-- A secret that was kept by a fast hash has been shown: its slow one takes that place. Makes nothing good that was not.
CREATE FUNCTION slow_down_client_secret(client text, fast text, slow text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  IF fast !~ '^[0-9a-f]{64}$' OR slow !~ '^scrypt\$' THEN
    RETURN;
  END IF;
  UPDATE "oauth_clients" SET secret_hashes = array_replace(secret_hashes, fast, slow)
    WHERE id = client AND fast = ANY (secret_hashes);
  IF FOUND THEN
    UPDATE "secret_sightings" SET secret_hash = slow WHERE client_id = client AND secret_hash = fast;
  END IF;
END $$;
REVOKE ALL ON FUNCTION slow_down_client_secret(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slow_down_client_secret(text, text, text) TO domovoy_api;
