-- What holds people and partners to their duties: letters of attestation (R3.5), reviews of rights and leavers (R4.3),
-- exports of partners' logs (R3.6), security audits (R4.6).

-- AlterTable
ALTER TABLE "partners" ADD COLUMN "attested_until" TIMESTAMPTZ(3), ADD COLUMN "log_export_key" TEXT;
-- Partners from before this rule have the grace that follows a letter's end, and are warned from now on.
UPDATE "partners" SET "attested_until" = CURRENT_TIMESTAMP;

-- CreateTable
CREATE TABLE "sealed_files" (
    "id" UUID NOT NULL,
    "media_type" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "bytes" INTEGER NOT NULL,
    "sealed" BYTEA NOT NULL,
    "details" BYTEA,
    "wrapped_key" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "sealed_files_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attestation_letters" (
    "id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "file_id" UUID NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'uploaded',
    "signed_on" TIMESTAMPTZ(3),
    "valid_until" TIMESTAMPTZ(3),
    "uploaded_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "in_force_from" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "attestation_letters_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "access_reviews" (
    "id" UUID NOT NULL,
    "workflow_id" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'open',
    "opened_at" TIMESTAMPTZ(3) NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "closed_at" TIMESTAMPTZ(3),

    CONSTRAINT "access_reviews_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "access_review_items" (
    "id" UUID NOT NULL,
    "review_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "holder" TEXT NOT NULL,
    "granted" TEXT NOT NULL,
    "decision" TEXT,
    "decided_by" TEXT,
    "decided_at" TIMESTAMPTZ(3),
    "restored_at" TIMESTAMPTZ(3),

    CONSTRAINT "access_review_items_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "identity_events" (
    "issuer" TEXT NOT NULL,
    "event_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "member_id" UUID,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "identity_events_pkey" PRIMARY KEY ("issuer","event_id")
);

-- CreateTable
CREATE TABLE "security_audits" (
    "id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "report" JSONB NOT NULL,
    "failed" INTEGER NOT NULL,

    CONSTRAINT "security_audits_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "log_export_demands" (
    "id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "scope_from" TIMESTAMPTZ(3) NOT NULL,
    "scope_to" TIMESTAMPTZ(3) NOT NULL,
    "due_days" INTEGER NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'proposed',
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "due_at" TIMESTAMPTZ(3),
    "received_at" TIMESTAMPTZ(3),
    "withheld" JSONB,
    "comparison" JSONB,

    CONSTRAINT "log_export_demands_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "log_export_parts" (
    "demand_id" UUID NOT NULL,
    "part" INTEGER NOT NULL,
    "parts" INTEGER NOT NULL,
    "file_id" UUID NOT NULL,
    "key_id" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "log_export_parts_pkey" PRIMARY KEY ("demand_id","part")
);

-- CreateIndex
CREATE INDEX "attestation_letters_partner_id_idx" ON "attestation_letters"("partner_id");
CREATE INDEX "access_reviews_state_idx" ON "access_reviews"("state");
CREATE UNIQUE INDEX "access_review_items_review_id_kind_holder_granted_key" ON "access_review_items"("review_id", "kind", "holder", "granted");
CREATE INDEX "identity_events_expires_at_idx" ON "identity_events"("expires_at");
CREATE INDEX "security_audits_at_idx" ON "security_audits"("at");
CREATE INDEX "log_export_demands_partner_id_idx" ON "log_export_demands"("partner_id");

-- AddForeignKey
ALTER TABLE "attestation_letters" ADD CONSTRAINT "attestation_letters_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "attestation_letters" ADD CONSTRAINT "attestation_letters_file_id_fkey" FOREIGN KEY ("file_id") REFERENCES "sealed_files"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "access_review_items" ADD CONSTRAINT "access_review_items_review_id_fkey" FOREIGN KEY ("review_id") REFERENCES "access_reviews"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "log_export_demands" ADD CONSTRAINT "log_export_demands_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "log_export_parts" ADD CONSTRAINT "log_export_parts_demand_id_fkey" FOREIGN KEY ("demand_id") REFERENCES "log_export_demands"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "log_export_parts" ADD CONSTRAINT "log_export_parts_file_id_fkey" FOREIGN KEY ("file_id") REFERENCES "sealed_files"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- All of it is for staff and for core; no integration's worker has a grant.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['sealed_files', 'attestation_letters', 'access_reviews', 'access_review_items',
    'identity_events', 'security_audits', 'log_export_demands', 'log_export_parts'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_api, domovoy_core', t);
  END LOOP;
END $$;
GRANT INSERT ON "sealed_files" TO domovoy_api;
GRANT UPDATE ("wrapped_key", "key_id") ON "sealed_files" TO domovoy_core;
GRANT UPDATE ("details") ON "sealed_files" TO domovoy_api;
GRANT INSERT, UPDATE ON "attestation_letters" TO domovoy_api;
GRANT UPDATE ("attested_until") ON "partners" TO domovoy_api;
GRANT INSERT, UPDATE ON "access_reviews" TO domovoy_core;
GRANT INSERT, UPDATE ON "access_review_items" TO domovoy_core;
GRANT UPDATE ("decision", "decided_by", "decided_at", "restored_at") ON "access_review_items" TO domovoy_api;
GRANT UPDATE ("withdrawn_roles") ON "staff_members" TO domovoy_core;
GRANT INSERT ON "identity_events" TO domovoy_api;
GRANT DELETE ON "identity_events" TO domovoy_core;
GRANT INSERT, DELETE ON "security_audits" TO domovoy_core;
GRANT INSERT, UPDATE ON "log_export_demands" TO domovoy_api;
GRANT UPDATE ("status") ON "log_export_demands" TO domovoy_core;
GRANT INSERT ON "log_export_parts" TO domovoy_api;

-- A client loses a scope at once, its tokens with it; it gets back only what a review took away (R4.3).
CREATE FUNCTION withdraw_client_scope(client text, gone text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
  UPDATE "oauth_clients" SET scopes = array_remove(scopes, gone) WHERE id = client;
  DELETE FROM "oidc_payloads" WHERE payload ->> 'clientId' = client;
$$;
CREATE FUNCTION restore_client_scope(client text, back text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
  UPDATE "oauth_clients" SET scopes = array_append(scopes, back)
  WHERE id = client AND NOT back = ANY (scopes)
    AND EXISTS (SELECT FROM "access_review_items" i
                 WHERE i.kind = 'client' AND i.holder = client AND i.granted = back AND i.decision IN ('revoked', 'lapsed'))
$$;
REVOKE ALL ON FUNCTION withdraw_client_scope(text, text), restore_client_scope(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION withdraw_client_scope(text, text) TO domovoy_api, domovoy_core;
GRANT EXECUTE ON FUNCTION restore_client_scope(text, text) TO domovoy_api;

-- What an audit looks at: who has which right since when, never a secret or its hash.
CREATE POLICY core ON "secret_sightings" TO domovoy_core USING (true);
GRANT SELECT ("client_id", "seen_at") ON "secret_sightings" TO domovoy_core, domovoy_auditor;
GRANT SELECT ("id", "integration", "active", "profile", "attested_until", "created_at") ON "partners" TO domovoy_auditor;
GRANT SELECT ("owner", "name", "version", "state", "key_id", "created_at") ON "secrets" TO domovoy_auditor;
GRANT SELECT ("id", "audience", "partner_id", "auth_method", "scopes", "active", "created_at") ON "oauth_clients" TO domovoy_auditor;
GRANT SELECT ("id", "roles", "withdrawn_roles", "status", "created_at", "last_sign_in_at") ON "staff_members" TO domovoy_auditor;
GRANT SELECT ON "access_reviews", "security_alerts", "escalations", "log_export_demands" TO domovoy_auditor;
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['secret_sightings', 'partners', 'secrets', 'staff_members', 'access_reviews',
    'security_alerts', 'escalations', 'log_export_demands'] LOOP
    EXECUTE format('CREATE POLICY auditor ON %I FOR SELECT TO domovoy_auditor USING (true)', t);
  END LOOP;
END $$;
