-- Keys that sign our own access tokens, in versions. A key is published before anything is signed with it, and stays
-- published until the last token that it signed has run out (R0.6, R3.1).
CREATE TABLE "token_signing_keys" (
  "version" INTEGER NOT NULL,
  "kid" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "wrapped" BYTEA,
  "key_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "token_signing_keys_pkey" PRIMARY KEY ("version")
);
CREATE UNIQUE INDEX "token_signing_keys_kid_key" ON "token_signing_keys" ("kid");
CREATE UNIQUE INDEX "token_signing_keys_one_signs" ON "token_signing_keys" ("state") WHERE "state" = 'signing';
CREATE UNIQUE INDEX "token_signing_keys_one_prepared" ON "token_signing_keys" ("state") WHERE "state" = 'published';
-- The API takes in the keys of its configuration once, when there are none; everything after that is core's.
GRANT SELECT, INSERT ON "token_signing_keys" TO domovoy_api;
GRANT SELECT, INSERT, UPDATE ON "token_signing_keys" TO domovoy_core;

-- Which keys each API process goes by: a key is signed with once all of them know it, and gone once none does.
CREATE TABLE "token_key_readers" (
  "process_id" UUID NOT NULL,
  "kids" TEXT[],
  "seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "token_key_readers_pkey" PRIMARY KEY ("process_id")
);
GRANT SELECT, INSERT, UPDATE, DELETE ON "token_key_readers" TO domovoy_api;
GRANT SELECT ON "token_key_readers" TO domovoy_core;

-- A successor that a person carries to a partner without an interface for it. The value stays in the vault: this row is
-- the right to be given it, once, until it runs out.
CREATE TABLE "credential_handovers" (
  "id" UUID NOT NULL,
  "integration" TEXT NOT NULL,
  "partner_id" TEXT NOT NULL,
  "direction" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "owner" TEXT NOT NULL,
  "secret_name" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "offered_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "expires_at" TIMESTAMPTZ(3) NOT NULL,
  "taken_at" TIMESTAMPTZ(3),
  "taken_by" TEXT,
  CONSTRAINT "credential_handovers_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "credential_handovers_owner_secret_name_version_idx" ON "credential_handovers" ("owner", "secret_name", "version");
ALTER TABLE "credential_handovers" ENABLE ROW LEVEL SECURITY;
CREATE POLICY smart_home ON "credential_handovers" TO domovoy_smart_home USING (integration = 'smart-home');
CREATE POLICY communal ON "credential_handovers" TO domovoy_communal USING (integration = 'communal');
CREATE POLICY api ON "credential_handovers" TO domovoy_api USING (true);
GRANT SELECT, INSERT ON "credential_handovers" TO domovoy_smart_home, domovoy_communal;
GRANT SELECT ON "credential_handovers" TO domovoy_api;
-- The one door of the API to a secret of a partner's, and it opens once for each offer.
CREATE FUNCTION take_credential(handover uuid, member text)
  RETURNS TABLE (owner text, name text, version integer, wrapped bytea, key_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
  WITH taken AS (
    UPDATE "credential_handovers" h SET taken_at = now(), taken_by = member
    WHERE h.id = handover AND h.taken_at IS NULL AND h.expires_at > now()
    RETURNING h.owner, h.secret_name, h.version
  )
  SELECT s.owner, s.name, s.version, s.wrapped, s.key_id FROM taken t
  JOIN "secrets" s ON s.owner = t.owner AND s.name = t.secret_name AND s.version = t.version
  WHERE s.state = 'pending' AND s.wrapped IS NOT NULL
$$;
REVOKE ALL ON FUNCTION take_credential(uuid, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_credential(uuid, text) TO domovoy_api;
