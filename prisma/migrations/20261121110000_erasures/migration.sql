-- The right to erasure (R1.4; 152-FZ, articles 14 and 21): what was demanded, who held what, what was certified.

-- CreateTable
CREATE TABLE "erasures" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "subject" TEXT,
    "basis" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'waiting',
    "actor" TEXT NOT NULL,
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "prolonged_at" TIMESTAMPTZ(3),
    "hold_reason" TEXT,
    "held_at" TIMESTAMPTZ(3),
    "erased_at" TIMESTAMPTZ(3),
    "completed_at" TIMESTAMPTZ(3),
    "follow_up_at" TIMESTAMPTZ(3),
    "checked_at" TIMESTAMPTZ(3),
    "identifiers" JSONB,
    "search" JSONB,

    CONSTRAINT "erasures_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "erasure_holders" (
    "id" UUID NOT NULL,
    "erasure_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "house_id" UUID,
    "token" UUID,
    "token_sha256" TEXT,
    "confirmed_at" TIMESTAMPTZ(3),
    "asked_at" TIMESTAMPTZ(3),
    "found_at" TIMESTAMPTZ(3),
    "orders" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "erasure_holders_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "erasure_certificates" (
    "id" UUID NOT NULL,
    "erasure_id" UUID NOT NULL,
    "version" INTEGER NOT NULL,
    "document" JSONB NOT NULL,
    "issued_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "erasure_certificates_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "erasures_resident_id_key" ON "erasures"("resident_id");
CREATE INDEX "erasures_state_idx" ON "erasures"("state");
CREATE INDEX "erasure_holders_erasure_id_idx" ON "erasure_holders"("erasure_id");
CREATE INDEX "erasure_holders_partner_id_token_sha256_idx" ON "erasure_holders"("partner_id", "token_sha256");
CREATE UNIQUE INDEX "erasure_certificates_erasure_id_version_key" ON "erasure_certificates"("erasure_id", "version");

-- AddForeignKey
ALTER TABLE "erasure_holders" ADD CONSTRAINT "erasure_holders_erasure_id_fkey" FOREIGN KEY ("erasure_id") REFERENCES "erasures"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "erasure_certificates" ADD CONSTRAINT "erasure_certificates_erasure_id_fkey" FOREIGN KEY ("erasure_id") REFERENCES "erasures"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- The API accepts and pauses; only core carries out and certifies.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['erasures', 'erasure_holders', 'erasure_certificates'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_api, domovoy_core', t);
  END LOOP;
END $$;
GRANT INSERT, UPDATE ON "erasures" TO domovoy_api, domovoy_core;
GRANT INSERT, UPDATE, DELETE ON "erasure_holders" TO domovoy_core;
GRANT UPDATE ("token", "found_at") ON "erasure_holders" TO domovoy_api;
GRANT INSERT, DELETE ON "erasure_certificates" TO domovoy_core;
GRANT DELETE ON "erasures" TO domovoy_core;

-- Each integration's worker asks its own partners, and sees nobody else's.
CREATE POLICY smart_home ON "erasure_holders" TO domovoy_smart_home USING (integration = 'smart-home');
CREATE POLICY communal ON "erasure_holders" TO domovoy_communal USING (integration = 'communal');
GRANT SELECT ON "erasure_holders" TO domovoy_smart_home, domovoy_communal;
GRANT UPDATE ("confirmed_at", "asked_at", "found_at", "orders") ON "erasure_holders"
  TO domovoy_smart_home, domovoy_communal;

-- What core stops, for a demand that it takes up again itself, and what it deletes.
GRANT UPDATE ON "residents", "consents", "plugin_sessions", "vehicles" TO domovoy_core;
GRANT UPDATE ("active") ON "face_templates" TO domovoy_core;
GRANT UPDATE ("resident_id") ON "openings" TO domovoy_core;
GRANT INSERT ON "biometric_deletions" TO domovoy_core;
GRANT SELECT ("resident_id") ON "resident_profiles" TO domovoy_core;
GRANT INSERT, UPDATE ("resolved_at") ON "escalations" TO domovoy_core;
GRANT DELETE ON "resident_profiles", "subject_keys", "partner_subjects", "consents", "enrollments", "face_templates",
  "reminders", "biometric_deletions", "vehicles", "vehicle_partners", "property_rights" TO domovoy_core;

-- Where in this database any of these identifiers stands: every column of every table that can hold text, those of
-- tables yet to come included. Core learns places and numbers, not contents.
CREATE FUNCTION find_identifiers(needles text[]) RETURNS TABLE (place text, hits bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp SET bytea_output = 'hex' AS $$
DECLARE
  c record;
  patterns text[];
  in_bytes text[];
BEGIN
  IF EXISTS (SELECT FROM unnest(needles) n WHERE n !~ '^[0-9a-f-]{16,}$') THEN
    RAISE EXCEPTION 'not an identifier';
  END IF;
  patterns := ARRAY(SELECT '%' || n || '%' FROM unnest(needles) n);
  in_bytes := patterns || ARRAY(SELECT '%' || encode(convert_to(n, 'UTF8'), 'hex') || '%' FROM unnest(needles) n);
  FOR c IN
    SELECT k.table_name, k.column_name, k.data_type
      FROM information_schema.columns k JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE k.table_schema = 'public' AND t.table_type = 'BASE TABLE'
       AND k.data_type IN ('text', 'character varying', 'character', 'uuid', 'json', 'jsonb', 'bytea', 'ARRAY')
     ORDER BY 1, 2
  LOOP
    EXECUTE format('SELECT count(*) FROM %I WHERE lower(%I::text) LIKE ANY ($1)', c.table_name, c.column_name)
      INTO hits USING CASE WHEN c.data_type = 'bytea' THEN in_bytes ELSE patterns END;
    place := c.table_name || '.' || c.column_name;
    RETURN NEXT;
  END LOOP;
END $$;
REVOKE ALL ON FUNCTION find_identifiers(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_identifiers(text[]) TO domovoy_core;
