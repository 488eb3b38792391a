-- What a partner proves itself to us by and makes itself: its client certificate and its key for signatures. We keep the
-- public half and when it took whose place (R0.6). `pending`: announced, and good. `active`: in use. `retiring`: was in
-- use, and good as long as the overlap. `retired`: refused.
CREATE TABLE "partner_credentials" (
  "partner_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "integration" TEXT NOT NULL,
  "key_id" TEXT NOT NULL,
  "public_pem" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "announced_by" TEXT NOT NULL,
  "announced_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "used_at" TIMESTAMPTZ(3),
  "refused_at" TIMESTAMPTZ(3),
  CONSTRAINT "partner_credentials_pkey" PRIMARY KEY ("partner_id", "name", "version"),
  CONSTRAINT "partner_credentials_state" CHECK ("state" IN ('pending', 'active', 'retiring', 'retired')),
  CONSTRAINT "partner_credentials_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id")
    ON DELETE RESTRICT ON UPDATE CASCADE
);
CREATE UNIQUE INDEX "partner_credentials_partner_id_name_key_id_key" ON "partner_credentials" ("partner_id", "name", "key_id");
CREATE UNIQUE INDEX "partner_credentials_one_in_use" ON "partner_credentials" ("partner_id", "name") WHERE "state" = 'active';
CREATE UNIQUE INDEX "partner_credentials_one_announced" ON "partner_credentials" ("partner_id", "name") WHERE "state" = 'pending';
CREATE UNIQUE INDEX "partner_credentials_one_overlaps" ON "partner_credentials" ("partner_id", "name") WHERE "state" = 'retiring';
-- Never more than two are good, and those only while one takes the other's place: nothing is announced in an overlap.
CREATE FUNCTION one_successor_at_a_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM "partner_credentials" WHERE "partner_id" = NEW."partner_id" AND "name" = NEW."name"
      AND "state" = 'retiring') THEN
    RAISE unique_violation USING CONSTRAINT = 'partner_credentials_one_announced';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER partner_credential_announced BEFORE INSERT ON "partner_credentials"
  FOR EACH ROW EXECUTE FUNCTION one_successor_at_a_time();

ALTER TABLE "partner_credentials" ENABLE ROW LEVEL SECURITY;
CREATE POLICY smart_home ON "partner_credentials" TO domovoy_smart_home USING (integration = 'smart-home');
CREATE POLICY communal ON "partner_credentials" TO domovoy_communal USING (integration = 'communal');
CREATE POLICY api ON "partner_credentials" TO domovoy_api USING (true);
CREATE POLICY auditor ON "partner_credentials" FOR SELECT TO domovoy_auditor USING (true);
CREATE POLICY core ON "partner_credentials" FOR SELECT TO domovoy_core USING (true);
GRANT SELECT, INSERT ON "partner_credentials" TO domovoy_api;
GRANT UPDATE ("used_at", "state") ON "partner_credentials" TO domovoy_api;
GRANT SELECT ON "partner_credentials" TO domovoy_smart_home, domovoy_communal, domovoy_core, domovoy_auditor;
GRANT UPDATE ("state", "refused_at") ON "partner_credentials" TO domovoy_smart_home, domovoy_communal;

-- Gateways are made from a partner's keys, among others: they go by the partner's revision.
CREATE FUNCTION partner_credential_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE "partners" SET "revision" = "revision" + 1 WHERE "id" = NEW."partner_id";
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION partner_credential_changed() FROM PUBLIC;
CREATE TRIGGER partner_credential_inserted AFTER INSERT ON "partner_credentials"
  FOR EACH ROW EXECUTE FUNCTION partner_credential_changed();
CREATE TRIGGER partner_credential_updated AFTER UPDATE OF "state" ON "partner_credentials"
  FOR EACH ROW WHEN (NEW."state" IS DISTINCT FROM OLD."state") EXECUTE FUNCTION partner_credential_changed();

-- The tokens that were got with a certificate end with it, by whatever way it was retired (RFC 8705, section 3).
CREATE FUNCTION tokens_end_with_certificate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  DELETE FROM "oidc_payloads" p USING "oauth_clients" c
    WHERE c.partner_id = NEW."partner_id" AND p.payload ->> 'clientId' = c.id
      AND p.payload ->> 'x5t#S256' = NEW."key_id";
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION tokens_end_with_certificate() FROM PUBLIC;
CREATE TRIGGER partner_certificate_retired AFTER UPDATE OF "state" ON "partner_credentials"
  FOR EACH ROW WHEN (NEW."state" = 'retired' AND NEW."name" = 'client-certificate')
  EXECUTE FUNCTION tokens_end_with_certificate();

-- How many tokens are left that were got with a certificate: workers read none.
CREATE FUNCTION tokens_of_certificate(partner text, thumbprint text) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT count(*)::int FROM "oidc_payloads" p JOIN "oauth_clients" c ON p.payload ->> 'clientId' = c.id
  WHERE c.partner_id = partner AND own_integration(c.integration) AND p.payload ->> 'x5t#S256' = thumbprint
$$;
REVOKE ALL ON FUNCTION tokens_of_certificate(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tokens_of_certificate(text, text) TO domovoy_smart_home, domovoy_communal;

-- Partners' clients may announce what they show us next; a review takes the right away like any other.
UPDATE "oauth_clients" SET "scopes" = array_append("scopes", 'credentials:announce')
  WHERE "partner_id" IS NOT NULL AND "auth_method" IN ('tls_client_auth', 'basic_signed')
    AND NOT 'credentials:announce' = ANY ("scopes");
