-- Reports of the registry are signed; calls to a person are acknowledged; openings are kept for their time only.

-- AlterTable
ALTER TABLE "oauth_clients" ADD COLUMN "message_keys" JSONB NOT NULL DEFAULT '[]';
ALTER TABLE "escalations" ADD COLUMN "acknowledged_by" TEXT;

-- Staff say through the API that somebody has it in hand; raising and resolving stay with the workers.
GRANT UPDATE ("acknowledged_at", "acknowledged_by") ON "escalations" TO domovoy_api;

-- What a sale took of a person goes with the person: the deletion that it made due when it is confirmed, what it says of
-- a right together with the right.
GRANT DELETE ON "property_sale_deletions", "property_sale_rights" TO domovoy_core;
GRANT UPDATE ("seller_ids", "buyer_ids") ON "property_sales" TO domovoy_core;

-- Both have their term (docs/retention.md).
GRANT DELETE ON "openings", "billing_answers" TO domovoy_core;

-- CreateIndex
CREATE INDEX "openings_requested_at_idx" ON "openings" USING BRIN ("requested_at");
