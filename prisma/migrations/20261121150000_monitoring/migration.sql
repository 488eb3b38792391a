-- Security monitoring over the journal: alerts with severity and evidence, what is told of them, who is kept out (R0.12).

ALTER TABLE "security_alerts"
  ADD COLUMN "acknowledged_by" TEXT,
  ADD COLUMN "severity" TEXT NOT NULL DEFAULT 'high',
  ADD COLUMN "evidence" TEXT[] DEFAULT ARRAY[]::TEXT[],
  ADD COLUMN "times" INTEGER NOT NULL DEFAULT 1;
CREATE INDEX "security_alerts_acknowledged_at_idx" ON "security_alerts"("acknowledged_at");

ALTER TABLE "oauth_clients" ADD COLUMN "suspended_until" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "alert_deliveries" (
    "id" TEXT NOT NULL,
    "alert_id" UUID NOT NULL,
    "event" TEXT NOT NULL,
    "level" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "body" TEXT NOT NULL,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "delivered_at" TIMESTAMPTZ(3),

    CONSTRAINT "alert_deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "client_suspensions" (
    "id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "alert_id" UUID NOT NULL,
    "suspended_at" TIMESTAMPTZ(3) NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,
    "lifted_at" TIMESTAMPTZ(3),
    "lifted_by" TEXT,

    CONSTRAINT "client_suspensions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "monitoring_state" (
    "id" TEXT NOT NULL,
    "position" BIGINT NOT NULL DEFAULT 0,
    "alarm_seq" BIGINT NOT NULL DEFAULT 0,
    "memory" JSONB NOT NULL DEFAULT '{}',
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "monitoring_state_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "alert_deliveries_alert_id_idx" ON "alert_deliveries"("alert_id");

-- CreateIndex
CREATE UNIQUE INDEX "client_suspensions_alert_id_key" ON "client_suspensions"("alert_id");

-- CreateIndex
CREATE INDEX "client_suspensions_client_id_idx" ON "client_suspensions"("client_id");

-- AddForeignKey
ALTER TABLE "alert_deliveries" ADD CONSTRAINT "alert_deliveries_alert_id_fkey" FOREIGN KEY ("alert_id") REFERENCES "security_alerts"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "client_suspensions" ADD CONSTRAINT "client_suspensions_alert_id_fkey" FOREIGN KEY ("alert_id") REFERENCES "security_alerts"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- Core watches and keeps out; the API lets in again; no integration's worker has a grant.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['alert_deliveries', 'client_suspensions', 'monitoring_state'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_api, domovoy_core', t);
    EXECUTE format('GRANT INSERT, UPDATE ON %I TO domovoy_core', t);
  END LOOP;
END $$;
GRANT UPDATE ("lifted_at", "lifted_by") ON "client_suspensions" TO domovoy_api;
GRANT UPDATE ("suspended_until") ON "oauth_clients" TO domovoy_api, domovoy_core;
-- What lies before this day was not watched, and is not raised late.
INSERT INTO "monitoring_state" ("id", "position", "alarm_seq")
  SELECT 'journal', coalesce((SELECT max(position) + 1 FROM "journal_leaves"), 0),
    coalesce((SELECT max(seq) FROM "journal_entries"), 0);
