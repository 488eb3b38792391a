-- Sales of properties that the registry reports (R3.9): what they took, who has to hear of it.

-- CreateTable
CREATE TABLE "property_sales" (
    "id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "registry_reference" TEXT NOT NULL,
    "request_sha256" TEXT NOT NULL,
    "property_id" UUID NOT NULL,
    "seller_ids" UUID[],
    "buyer_ids" UUID[],
    "effective_at" TIMESTAMPTZ(3) NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'scheduled',
    "taken_at" TIMESTAMPTZ(3),
    "reversed_at" TIMESTAMPTZ(3),
    "fan_out" TEXT NOT NULL DEFAULT 'due',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "property_sales_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "property_sale_rights" (
    "sale_id" UUID NOT NULL,
    "right_id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "previous_ends_at" TIMESTAMPTZ(3),
    "restored_at" TIMESTAMPTZ(3),

    CONSTRAINT "property_sale_rights_pkey" PRIMARY KEY ("sale_id","right_id")
);

-- CreateTable
CREATE TABLE "property_sale_partners" (
    "sale_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "told" INTEGER NOT NULL DEFAULT 0,
    "done_at" TIMESTAMPTZ(3),

    CONSTRAINT "property_sale_partners_pkey" PRIMARY KEY ("sale_id","partner_id")
);

-- CreateTable
CREATE TABLE "property_sale_deletions" (
    "sale_id" UUID NOT NULL,
    "deletion_id" UUID NOT NULL,

    CONSTRAINT "property_sale_deletions_pkey" PRIMARY KEY ("sale_id","deletion_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "property_sales_client_id_registry_reference_key" ON "property_sales"("client_id", "registry_reference");

-- CreateIndex
CREATE INDEX "property_sales_property_id_idx" ON "property_sales"("property_id");

-- CreateIndex
CREATE INDEX "property_sales_fan_out_idx" ON "property_sales"("fan_out");

-- AddForeignKey
ALTER TABLE "property_sales" ADD CONSTRAINT "property_sales_property_id_fkey" FOREIGN KEY ("property_id") REFERENCES "properties"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_sale_rights" ADD CONSTRAINT "property_sale_rights_sale_id_fkey" FOREIGN KEY ("sale_id") REFERENCES "property_sales"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_sale_rights" ADD CONSTRAINT "property_sale_rights_right_id_fkey" FOREIGN KEY ("right_id") REFERENCES "property_rights"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_sale_partners" ADD CONSTRAINT "property_sale_partners_sale_id_fkey" FOREIGN KEY ("sale_id") REFERENCES "property_sales"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_sale_partners" ADD CONSTRAINT "property_sale_partners_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_sale_deletions" ADD CONSTRAINT "property_sale_deletions_sale_id_fkey" FOREIGN KEY ("sale_id") REFERENCES "property_sales"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "property_sale_deletions" ADD CONSTRAINT "property_sale_deletions_deletion_id_fkey" FOREIGN KEY ("deletion_id") REFERENCES "biometric_deletions"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- A sale belongs to no integration: their workers have no grant here, each hears of it through its own processes.
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['property_sales', 'property_sale_rights', 'property_sale_partners', 'property_sale_deletions'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT, INSERT ON %I TO domovoy_api, domovoy_core', t);
  END LOOP;
END $$;
GRANT UPDATE ("state", "taken_at", "reversed_at", "fan_out") ON "property_sales" TO domovoy_api, domovoy_core;
GRANT UPDATE ("restored_at") ON "property_sale_rights" TO domovoy_api, domovoy_core;
GRANT UPDATE ("told", "done_at") ON "property_sale_partners" TO domovoy_api, domovoy_core;

-- A sale takes effect in the API's own transaction; one of a later date, in the core worker's. Both may end a right and
-- restore it, and nothing else of it.
GRANT UPDATE ("ends_at") ON "property_rights" TO domovoy_api, domovoy_core;
GRANT UPDATE ("ended_at") ON "plugin_sessions" TO domovoy_core;
GRANT UPDATE ("status", "revision", "ended_at", "deletion_id") ON "consents" TO domovoy_core;
GRANT INSERT ON "biometric_deletions" TO domovoy_core;
GRANT UPDATE ("active") ON "face_templates" TO domovoy_core;
CREATE POLICY core_stops_only ON "face_templates" AS RESTRICTIVE FOR UPDATE TO domovoy_core
  USING (true) WITH CHECK (active = false);
-- What does not get on is put before a person by the core worker.
GRANT INSERT, UPDATE ("resolved_at") ON "escalations" TO domovoy_core;
