-- Versions of a secret: prepared, in use, no longer used. The value goes once the partner has been seen to refuse it
-- (R0.6, R0.13); the row stays, so that no number is given twice.
ALTER TABLE "secrets" ADD COLUMN "state" TEXT NOT NULL DEFAULT 'active';
ALTER TABLE "secrets" ALTER COLUMN "wrapped" DROP NOT NULL;
UPDATE "secrets" older SET "state" = 'retired'
  WHERE EXISTS (SELECT 1 FROM "secrets" newer WHERE newer."owner" = older."owner" AND newer."name" = older."name"
    AND newer."version" > older."version");
CREATE UNIQUE INDEX "secrets_one_in_use" ON "secrets" ("owner", "name") WHERE "state" = 'active';
CREATE UNIQUE INDEX "secrets_one_prepared" ON "secrets" ("owner", "name") WHERE "state" = 'pending';
GRANT INSERT, UPDATE ON "secrets" TO domovoy_smart_home, domovoy_communal;
-- The `core` worker wraps anew whatever lies under an older key-encryption key.
GRANT UPDATE ON "secrets", "subject_keys", "staged_photos" TO domovoy_core;

-- Which secrets a client has shown us: that it uses the new one is what lets the old one go.
CREATE TABLE "secret_sightings" (
  "client_id" TEXT NOT NULL,
  "sha256" TEXT NOT NULL,
  "integration" TEXT,
  "seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "secret_sightings_pkey" PRIMARY KEY ("client_id", "sha256")
);
ALTER TABLE "secret_sightings" ENABLE ROW LEVEL SECURITY;
CREATE POLICY smart_home ON "secret_sightings" TO domovoy_smart_home USING (integration = 'smart-home');
CREATE POLICY communal ON "secret_sightings" TO domovoy_communal USING (integration = 'communal');
CREATE POLICY api ON "secret_sightings" TO domovoy_api USING (true);
GRANT SELECT ON "secret_sightings" TO domovoy_smart_home, domovoy_communal, domovoy_api;
GRANT INSERT ON "secret_sightings" TO domovoy_api;

GRANT SELECT, INSERT ON "security_alerts" TO domovoy_smart_home, domovoy_communal;

-- Workers read no client of ours. These are the only doors to them, each for clients of the caller's own integration.
CREATE FUNCTION own_integration(wanted text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT wanted IS NOT NULL AND pg_has_role(session_user, 'domovoy_' || replace(wanted, '-', '_'), 'MEMBER')
$$;
-- Partners' clients that prove themselves by a secret, and since when they are there.
CREATE FUNCTION clients_with_secrets() RETURNS TABLE (client_id text, partner_id text, integration text, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
  SELECT c.id, c.partner_id, c.integration, c.created_at FROM "oauth_clients" c
  WHERE c.partner_id IS NOT NULL AND c.active AND cardinality(c.secret_hashes) > 0 AND own_integration(c.integration)
$$;
CREATE FUNCTION accept_client_secret(client text, hash text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
  UPDATE "oauth_clients" SET secret_hashes = array_append(secret_hashes, hash)
  WHERE id = client AND own_integration(integration) AND NOT hash = ANY (secret_hashes)
$$;
-- Leaves one secret valid and no other. Never leaves none: of a hash that is not there nothing comes.
CREATE FUNCTION accept_only_client_secret(client text, hash text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
  UPDATE "oauth_clients" SET secret_hashes = ARRAY[hash]
  WHERE id = client AND own_integration(integration) AND hash = ANY (secret_hashes)
$$;
CREATE FUNCTION accepts_client_secret(client text, hash text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public AS $$
  SELECT EXISTS (SELECT 1 FROM "oauth_clients" WHERE id = client AND own_integration(integration) AND hash = ANY (secret_hashes))
$$;
REVOKE ALL ON FUNCTION clients_with_secrets(), accept_client_secret(text, text), accept_only_client_secret(text, text),
  accepts_client_secret(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clients_with_secrets(), accept_client_secret(text, text), accept_only_client_secret(text, text),
  accepts_client_secret(text, text) TO domovoy_smart_home, domovoy_communal;
