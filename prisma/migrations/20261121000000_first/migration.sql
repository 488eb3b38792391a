-- The first schema. Tables as `npm run db:diff` printed them from schema.prisma; below them roles, grants, row-level
-- security and the append-only journal, which Prisma's schema language cannot say.

-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "partners" (
    "id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "display_name" TEXT NOT NULL,
    "custody" TEXT NOT NULL,
    "profile" JSONB NOT NULL,
    "agreed_fields" TEXT[],
    "revision" INTEGER NOT NULL DEFAULT 1,
    "active" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "partners_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "oauth_clients" (
    "id" TEXT NOT NULL,
    "audience" TEXT NOT NULL,
    "partner_id" TEXT,
    "integration" TEXT,
    "auth_method" TEXT NOT NULL,
    "secret_hashes" TEXT[],
    "certificate_name" TEXT,
    "scopes" TEXT[],
    "active" BOOLEAN NOT NULL DEFAULT true,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "oauth_clients_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "oidc_payloads" (
    "model" TEXT NOT NULL,
    "id" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "grant_id" TEXT,
    "consumed_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3),

    CONSTRAINT "oidc_payloads_pkey" PRIMARY KEY ("model","id")
);

-- CreateTable
CREATE TABLE "secrets" (
    "owner" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "integration" TEXT NOT NULL,
    "wrapped" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "secrets_pkey" PRIMARY KEY ("owner","name","version")
);

-- CreateTable
CREATE TABLE "houses" (
    "id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "houses_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "house_partners" (
    "house_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "partner_house_id" TEXT NOT NULL,

    CONSTRAINT "house_partners_pkey" PRIMARY KEY ("house_id","partner_id")
);

-- CreateTable
CREATE TABLE "access_points" (
    "id" UUID NOT NULL,
    "house_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "device_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "service" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'active',
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "access_points_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "residents" (
    "id" UUID NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'active',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "residents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "resident_profiles" (
    "resident_id" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,

    CONSTRAINT "resident_profiles_pkey" PRIMARY KEY ("resident_id")
);

-- CreateTable
CREATE TABLE "subject_keys" (
    "resident_id" UUID NOT NULL,
    "wrapped" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "subject_keys_pkey" PRIMARY KEY ("resident_id")
);

-- CreateTable
CREATE TABLE "properties" (
    "id" UUID NOT NULL,
    "house_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "billing_account_id" UUID NOT NULL,

    CONSTRAINT "properties_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "property_rights" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "property_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "starts_at" TIMESTAMPTZ(3) NOT NULL,
    "ends_at" TIMESTAMPTZ(3),

    CONSTRAINT "property_rights_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "partner_subjects" (
    "resident_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "token" UUID NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "partner_subjects_pkey" PRIMARY KEY ("resident_id","partner_id")
);

-- CreateTable
CREATE TABLE "consent_forms" (
    "id" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "text_ru" TEXT NOT NULL,
    "text_en" TEXT NOT NULL,
    "sha256" TEXT NOT NULL,
    "purposes" TEXT[],
    "valid_for_days" INTEGER NOT NULL,
    "retired_at" TIMESTAMPTZ(3),

    CONSTRAINT "consent_forms_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "consents" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "form_id" TEXT NOT NULL,
    "form_sha256" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "revision" INTEGER NOT NULL DEFAULT 0,
    "granted_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "consents_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "enrollments" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "consent_id" UUID NOT NULL,
    "house_id" UUID NOT NULL,
    "state" TEXT NOT NULL,
    "refusal" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "enrollments_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "staged_photos" (
    "enrollment_id" UUID NOT NULL,
    "integration" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "wrapped_key" BYTEA NOT NULL,
    "key_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "staged_photos_pkey" PRIMARY KEY ("enrollment_id")
);

-- CreateTable
CREATE TABLE "face_templates" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "house_id" UUID NOT NULL,
    "sealed" BYTEA NOT NULL,
    "model_version" TEXT NOT NULL,
    "active" BOOLEAN NOT NULL DEFAULT false,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "face_templates_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "face_index_versions" (
    "house_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "version" BIGINT NOT NULL DEFAULT 0,

    CONSTRAINT "face_index_versions_pkey" PRIMARY KEY ("house_id","partner_id")
);

-- CreateTable
CREATE TABLE "openings" (
    "id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "request_sha256" TEXT NOT NULL,
    "access_point_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "method" TEXT NOT NULL,
    "resident_id" UUID,
    "status" TEXT NOT NULL,
    "reason" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "requested_at" TIMESTAMPTZ(3) NOT NULL,
    "not_after" TIMESTAMPTZ(3) NOT NULL,
    "decided_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "openings_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "billing_answers" (
    "account_id" UUID NOT NULL,
    "service" TEXT NOT NULL,
    "standing" TEXT NOT NULL,
    "as_of" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "billing_answers_pkey" PRIMARY KEY ("account_id","service")
);

-- CreateTable
CREATE TABLE "idempotency_records" (
    "client_id" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "request_sha256" TEXT NOT NULL,
    "status" INTEGER,
    "content_type" TEXT,
    "body" TEXT,
    "locked_until" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_records_pkey" PRIMARY KEY ("client_id","key")
);

-- CreateTable
CREATE TABLE "signature_nonces" (
    "partner_id" TEXT NOT NULL,
    "nonce" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "signature_nonces_pkey" PRIMARY KEY ("partner_id","nonce")
);

-- CreateTable
CREATE TABLE "partner_events" (
    "partner_id" TEXT NOT NULL,
    "event_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "happened_at" TIMESTAMPTZ(3) NOT NULL,
    "subject" TEXT,

    CONSTRAINT "partner_events_pkey" PRIMARY KEY ("partner_id","event_id")
);

-- CreateTable
CREATE TABLE "journal_entries" (
    "seq" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "integration" TEXT,
    "kind" TEXT NOT NULL,
    "object_id" TEXT,
    "actor" TEXT,
    "outcome" TEXT,
    "reason" TEXT,

    CONSTRAINT "journal_entries_pkey" PRIMARY KEY ("seq")
);

-- CreateIndex
CREATE INDEX "oidc_payloads_grant_id_idx" ON "oidc_payloads"("grant_id");

-- CreateIndex
CREATE INDEX "oidc_payloads_expires_at_idx" ON "oidc_payloads"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "house_partners_partner_id_partner_house_id_key" ON "house_partners"("partner_id", "partner_house_id");

-- CreateIndex
CREATE INDEX "access_points_house_id_idx" ON "access_points"("house_id");

-- CreateIndex
CREATE UNIQUE INDEX "access_points_partner_id_device_id_key" ON "access_points"("partner_id", "device_id");

-- CreateIndex
CREATE INDEX "properties_house_id_idx" ON "properties"("house_id");

-- CreateIndex
CREATE INDEX "property_rights_resident_id_idx" ON "property_rights"("resident_id");

-- CreateIndex
CREATE INDEX "property_rights_property_id_idx" ON "property_rights"("property_id");

-- CreateIndex
CREATE UNIQUE INDEX "partner_subjects_partner_id_token_key" ON "partner_subjects"("partner_id", "token");

-- CreateIndex
CREATE INDEX "consents_resident_id_partner_id_idx" ON "consents"("resident_id", "partner_id");

-- CreateIndex
CREATE INDEX "enrollments_resident_id_partner_id_idx" ON "enrollments"("resident_id", "partner_id");

-- CreateIndex
CREATE INDEX "face_templates_house_id_partner_id_idx" ON "face_templates"("house_id", "partner_id");

-- CreateIndex
CREATE UNIQUE INDEX "face_templates_enrollment_id_key" ON "face_templates"("enrollment_id");

-- CreateIndex
CREATE INDEX "openings_resident_id_idx" ON "openings"("resident_id");

-- CreateIndex
CREATE INDEX "openings_access_point_id_requested_at_idx" ON "openings"("access_point_id", "requested_at");

-- CreateIndex
CREATE INDEX "idempotency_records_expires_at_idx" ON "idempotency_records"("expires_at");

-- CreateIndex
CREATE INDEX "signature_nonces_expires_at_idx" ON "signature_nonces"("expires_at");

-- CreateIndex
CREATE INDEX "journal_entries_object_id_idx" ON "journal_entries"("object_id");

-- AddForeignKey
ALTER TABLE "house_partners" ADD CONSTRAINT "house_partners_house_id_fkey" FOREIGN KEY ("house_id") REFERENCES "houses"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "house_partners" ADD CONSTRAINT "house_partners_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "access_points" ADD CONSTRAINT "access_points_house_id_fkey" FOREIGN KEY ("house_id") REFERENCES "houses"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "access_points" ADD CONSTRAINT "access_points_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resident_profiles" ADD CONSTRAINT "resident_profiles_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "subject_keys" ADD CONSTRAINT "subject_keys_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "properties" ADD CONSTRAINT "properties_house_id_fkey" FOREIGN KEY ("house_id") REFERENCES "houses"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_rights" ADD CONSTRAINT "property_rights_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_rights" ADD CONSTRAINT "property_rights_property_id_fkey" FOREIGN KEY ("property_id") REFERENCES "properties"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "partner_subjects" ADD CONSTRAINT "partner_subjects_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "partner_subjects" ADD CONSTRAINT "partner_subjects_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "consents" ADD CONSTRAINT "consents_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "consents" ADD CONSTRAINT "consents_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "consents" ADD CONSTRAINT "consents_form_id_fkey" FOREIGN KEY ("form_id") REFERENCES "consent_forms"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollments" ADD CONSTRAINT "enrollments_consent_id_fkey" FOREIGN KEY ("consent_id") REFERENCES "consents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "staged_photos" ADD CONSTRAINT "staged_photos_enrollment_id_fkey" FOREIGN KEY ("enrollment_id") REFERENCES "enrollments"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "face_templates" ADD CONSTRAINT "face_templates_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "face_templates" ADD CONSTRAINT "face_templates_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "face_templates" ADD CONSTRAINT "face_templates_enrollment_id_fkey" FOREIGN KEY ("enrollment_id") REFERENCES "enrollments"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "openings" ADD CONSTRAINT "openings_access_point_id_fkey" FOREIGN KEY ("access_point_id") REFERENCES "access_points"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- One enrollment at a time for a resident at a house of a partner, also when two requests come at the same instant.
CREATE UNIQUE INDEX "enrollments_one_at_a_time" ON "enrollments" ("resident_id", "partner_id", "house_id")
  WHERE "state" IN ('requested', 'processing');

-- Counters of rate-limiter-flexible; the library is told that the table exists.
CREATE TABLE "rate_limits" ("key" VARCHAR(255) PRIMARY KEY, "points" INTEGER NOT NULL DEFAULT 0, "expire" BIGINT);

-- One group role per part of the house. Login roles are members of exactly one; none owns a table or bypasses RLS.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['domovoy_api', 'domovoy_smart_home', 'domovoy_communal', 'domovoy_core'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to this database
    END;
  END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;

-- The company's own registers: workers read what a decision needs, never names.
GRANT SELECT ON "houses", "residents", "properties", "property_rights", "subject_keys", "consent_forms"
  TO domovoy_smart_home, domovoy_communal;
GRANT SELECT ON "rate_limits" TO domovoy_smart_home, domovoy_communal;
GRANT SELECT, INSERT, UPDATE ON "billing_answers" TO domovoy_smart_home, domovoy_communal, domovoy_core;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO domovoy_api, domovoy_core;
REVOKE SELECT ON "secrets" FROM domovoy_api;
REVOKE SELECT ON "resident_profiles" FROM domovoy_core;

GRANT INSERT, UPDATE ON "residents", "resident_profiles", "subject_keys", "partner_subjects", "consents", "enrollments",
  "staged_photos", "openings", "idempotency_records", "oidc_payloads", "rate_limits", "partner_events" TO domovoy_api;
GRANT INSERT ON "signature_nonces", "journal_entries" TO domovoy_api;
GRANT DELETE ON "idempotency_records", "oidc_payloads", "rate_limits", "signature_nonces", "staged_photos" TO domovoy_api;

GRANT DELETE ON "idempotency_records", "oidc_payloads", "rate_limits", "signature_nonces", "staged_photos" TO domovoy_core;
GRANT INSERT ON "journal_entries" TO domovoy_core;
GRANT UPDATE ON "enrollments" TO domovoy_core;

-- What belongs to an integration: its worker reaches its own rows, also when the code is wrong (R4.2, R4.10).
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['partners', 'house_partners', 'access_points', 'partner_subjects', 'consents', 'enrollments',
    'staged_photos', 'face_templates', 'face_index_versions', 'openings', 'secrets', 'partner_events',
    'journal_entries'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY smart_home ON %I TO domovoy_smart_home USING (integration = ''smart-home'')', t);
    EXECUTE format('CREATE POLICY communal ON %I TO domovoy_communal USING (integration = ''communal'')', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_smart_home, domovoy_communal', t);
  END LOOP;
END $$;
GRANT INSERT, UPDATE ON "consents", "enrollments", "openings", "face_templates"
  TO domovoy_smart_home, domovoy_communal;
GRANT DELETE ON "staged_photos", "face_templates" TO domovoy_smart_home, domovoy_communal;
GRANT UPDATE ON "access_points" TO domovoy_smart_home, domovoy_communal;
GRANT INSERT ON "journal_entries" TO domovoy_smart_home, domovoy_communal;
GRANT USAGE ON SEQUENCE "journal_entries_seq_seq" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;

-- Whoever changes a template makes every index of that house stale, in the same transaction.
CREATE FUNCTION bump_face_index_version() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE changed "face_templates";
BEGIN
  changed := COALESCE(NEW, OLD);
  INSERT INTO "face_index_versions" (house_id, partner_id, integration, version)
  VALUES (changed.house_id, changed.partner_id, changed.integration, 1)
  ON CONFLICT (house_id, partner_id) DO UPDATE SET version = "face_index_versions".version + 1;
  RETURN NULL;
END $$;
CREATE TRIGGER face_templates_version AFTER INSERT OR UPDATE OR DELETE ON "face_templates"
  FOR EACH ROW EXECUTE FUNCTION bump_face_index_version();

-- The journal only grows. Grants already say so; the trigger also stops the owner's own mistakes.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the journal is append-only';
END $$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "journal_entries"
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
