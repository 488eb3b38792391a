-- Who was identified at our token endpoint (variant A, R1.6, R1.9), behind a token of a minute that opens once.
CREATE TABLE "identity_tokens" (
  "id" TEXT NOT NULL,
  "client_id" TEXT NOT NULL,
  "partner_id" TEXT NOT NULL,
  "integration" TEXT NOT NULL,
  "access_point_id" UUID NOT NULL,
  "resident_id" UUID NOT NULL,
  "method" TEXT NOT NULL,
  "opening_id" UUID,
  "expires_at" TIMESTAMPTZ(3) NOT NULL,
  CONSTRAINT "identity_tokens_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "identity_tokens_expires_at_idx" ON "identity_tokens" ("expires_at");
CREATE INDEX "identity_tokens_resident_id_idx" ON "identity_tokens" ("resident_id");

-- What somebody has to look at, once for each cause (R2.6, R0.12). Opaque ids and counts only.
CREATE TABLE "security_alerts" (
  "id" UUID NOT NULL,
  "integration" TEXT,
  "kind" TEXT NOT NULL,
  "scope" TEXT NOT NULL,
  "object_id" TEXT NOT NULL,
  "until" TIMESTAMPTZ(3) NOT NULL,
  "raised_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "acknowledged_at" TIMESTAMPTZ(3),
  CONSTRAINT "security_alerts_pkey" PRIMARY KEY ("id")
);
CREATE INDEX "security_alerts_object_id_idx" ON "security_alerts" ("object_id");

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['identity_tokens', 'security_alerts'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY smart_home ON %I TO domovoy_smart_home USING (integration = ''smart-home'')', t);
    EXECUTE format('CREATE POLICY communal ON %I TO domovoy_communal USING (integration = ''communal'')', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_api, domovoy_core', t);
  END LOOP;
END $$;
GRANT INSERT, UPDATE, DELETE ON "identity_tokens" TO domovoy_api;
GRANT DELETE ON "identity_tokens" TO domovoy_core;
GRANT INSERT, UPDATE ON "security_alerts" TO domovoy_api, domovoy_core;

-- Openings by keys and fobs, for audit (R1.10, R1.11).
ALTER TABLE "partner_events" ADD COLUMN "access_point_id" UUID, ADD COLUMN "timing" TEXT;
CREATE INDEX "partner_events_access_point_id_kind_happened_at_idx"
  ON "partner_events" ("access_point_id", "kind", "happened_at");
