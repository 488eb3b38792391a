-- Exports of the journal with personal details (R2.5): proposed by one member of staff, approved by another.

-- CreateTable
CREATE TABLE "journal_exports" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "scope_from" TIMESTAMPTZ(3) NOT NULL,
    "scope_to" TIMESTAMPTZ(3) NOT NULL,
    "requested_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "journal_exports_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "journal_exports_resident_id_idx" ON "journal_exports"("resident_id");

-- AddForeignKey
ALTER TABLE "journal_exports" ADD CONSTRAINT "journal_exports_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "journal_exports" ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON "journal_exports" TO domovoy_api USING (true);
CREATE POLICY core ON "journal_exports" TO domovoy_core USING (true);
GRANT SELECT, INSERT ON "journal_exports" TO domovoy_api;
-- With the person, and after its term.
GRANT SELECT, DELETE ON "journal_exports" TO domovoy_core;
