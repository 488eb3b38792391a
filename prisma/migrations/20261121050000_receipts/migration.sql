-- CreateTable
CREATE TABLE "plugin_sessions" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "token_sha256" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "plugin_sessions_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "plugin_sessions_expires_at_idx" ON "plugin_sessions"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "plugin_sessions_token_sha256_key" ON "plugin_sessions"("token_sha256");

-- AddForeignKey
ALTER TABLE "plugin_sessions" ADD CONSTRAINT "plugin_sessions_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "plugin_sessions" ADD CONSTRAINT "plugin_sessions_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- One session of a resident at a partner at a time, also when two are asked for at the same instant (R0.2).
CREATE UNIQUE INDEX "plugin_sessions_one_at_a_time" ON "plugin_sessions" ("resident_id", "partner_id")
  WHERE "ended_at" IS NULL;

-- The API opens, checks and ends sessions, housekeeping removes them; no integration's worker has a grant.
ALTER TABLE "plugin_sessions" ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON "plugin_sessions" TO domovoy_api USING (true);
CREATE POLICY core ON "plugin_sessions" TO domovoy_core USING (true);
GRANT SELECT, INSERT, UPDATE ON "plugin_sessions" TO domovoy_api;
GRANT SELECT, DELETE ON "plugin_sessions" TO domovoy_core;
