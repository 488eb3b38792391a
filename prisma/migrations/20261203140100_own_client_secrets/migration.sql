-- The company's own backends (the app's, the property registry's) get the next secret from staff (R0.6, docs/adr/0081):
-- the one before stays good until staff end it. Of a secret we never have more than its slow hash.
ALTER TABLE "oauth_clients" ADD COLUMN "secret_issued_at" TIMESTAMPTZ(3);
GRANT SELECT ("secret_issued_at") ON "oauth_clients" TO domovoy_auditor;

-- Adds the next one; a successor that nobody has shown was lost on its way, and is replaced. Never a third.
CREATE FUNCTION issue_own_client_secret(client text, slow text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE good text[];
BEGIN
  SELECT secret_hashes INTO good FROM "oauth_clients" WHERE id = client AND partner_id IS NULL AND active FOR UPDATE;
  IF NOT FOUND OR slow !~ '^scrypt\$' OR cardinality(good) = 0 THEN
    RETURN false;
  END IF;
  IF cardinality(good) > 1 THEN
    IF EXISTS (SELECT FROM "secret_sightings" WHERE client_id = client AND secret_hash = good[cardinality(good)]) THEN
      RETURN false;
    END IF;
    good := good[1:cardinality(good) - 1];
  END IF;
  UPDATE "oauth_clients" SET secret_hashes = array_append(good, slow), secret_issued_at = now() WHERE id = client;
  RETURN true;
END $$;

-- Leaves the newest one, and nothing else: once it was shown, or at once, with the tokens that were got with another.
CREATE FUNCTION retire_own_client_secrets(client text, urgently boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE good text[];
BEGIN
  SELECT secret_hashes INTO good FROM "oauth_clients" WHERE id = client AND partner_id IS NULL FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'none';
  END IF;
  IF cardinality(good) < 2 THEN
    RETURN 'single';
  END IF;
  IF NOT urgently AND NOT EXISTS (
    SELECT FROM "secret_sightings" WHERE client_id = client AND secret_hash = good[cardinality(good)]) THEN
    RETURN 'not-shown';
  END IF;
  UPDATE "oauth_clients" SET secret_hashes = good[cardinality(good):] WHERE id = client;
  IF urgently THEN
    DELETE FROM "oidc_payloads" WHERE payload ->> 'clientId' = client;
  END IF;
  RETURN 'retired';
END $$;
REVOKE ALL ON FUNCTION issue_own_client_secret(text, text), retire_own_client_secrets(text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION issue_own_client_secret(text, text), retire_own_client_secrets(text, boolean) TO domovoy_api;
