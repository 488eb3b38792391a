-- Withdrawal and expiry of consents: what is due for deletion, who was called about it, what residents are reminded of.

-- AlterTable
ALTER TABLE "consents" ADD COLUMN "ended_at" TIMESTAMPTZ(3), ADD COLUMN "deletion_id" UUID;

-- CreateTable
CREATE TABLE "biometric_deletions" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "house_ids" UUID[],
    "state" TEXT NOT NULL DEFAULT 'deleting',
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "deleted_at" TIMESTAMPTZ(3),

    CONSTRAINT "biometric_deletions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "escalations" (
    "id" UUID NOT NULL,
    "integration" TEXT NOT NULL,
    "process" TEXT NOT NULL,
    "object_id" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "level" INTEGER NOT NULL,
    "raised_at" TIMESTAMPTZ(3) NOT NULL,
    "acknowledged_at" TIMESTAMPTZ(3),
    "resolved_at" TIMESTAMPTZ(3),

    CONSTRAINT "escalations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "reminders" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "consent_id" UUID NOT NULL,
    "integration" TEXT NOT NULL,
    "days_before" INTEGER NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "reminders_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "biometric_deletions_resident_id_partner_id_idx" ON "biometric_deletions"("resident_id", "partner_id");

-- CreateIndex
CREATE INDEX "biometric_deletions_state_idx" ON "biometric_deletions"("state");

-- CreateIndex
CREATE INDEX "escalations_resolved_at_idx" ON "escalations"("resolved_at");

-- CreateIndex
CREATE UNIQUE INDEX "escalations_process_object_id_level_key" ON "escalations"("process", "object_id", "level");

-- CreateIndex
CREATE INDEX "reminders_resident_id_idx" ON "reminders"("resident_id");

-- CreateIndex
CREATE UNIQUE INDEX "reminders_consent_id_expires_at_days_before_key" ON "reminders"("consent_id", "expires_at", "days_before");

-- AddForeignKey
ALTER TABLE "consents" ADD CONSTRAINT "consents_deletion_id_fkey" FOREIGN KEY ("deletion_id") REFERENCES "biometric_deletions"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "biometric_deletions" ADD CONSTRAINT "biometric_deletions_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "biometric_deletions" ADD CONSTRAINT "biometric_deletions_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "reminders" ADD CONSTRAINT "reminders_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "reminders" ADD CONSTRAINT "reminders_consent_id_fkey" FOREIGN KEY ("consent_id") REFERENCES "consents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- Each integration's worker reaches its own rows, also when the code is wrong (R4.2, R4.10).
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['biometric_deletions', 'escalations', 'reminders'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY smart_home ON %I TO domovoy_smart_home USING (integration = ''smart-home'')', t);
    EXECUTE format('CREATE POLICY communal ON %I TO domovoy_communal USING (integration = ''communal'')', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core', t);
    EXECUTE format('GRANT INSERT ON %I TO domovoy_smart_home, domovoy_communal', t);
  END LOOP;
END $$;
GRANT UPDATE ("state", "deleted_at") ON "biometric_deletions" TO domovoy_smart_home, domovoy_communal;
GRANT UPDATE ("resolved_at") ON "escalations" TO domovoy_smart_home, domovoy_communal;

-- A withdrawal takes effect in the API's own transaction: it makes the deletion due and stops the use of templates. To
-- put one into use stays the worker's.
GRANT INSERT ON "biometric_deletions" TO domovoy_api;
GRANT UPDATE ("active") ON "face_templates" TO domovoy_api;
CREATE POLICY api_stops_only ON "face_templates" AS RESTRICTIVE FOR UPDATE TO domovoy_api
  USING (true) WITH CHECK (active = false);
