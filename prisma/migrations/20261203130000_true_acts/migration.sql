-- What the act of destruction has to say truthfully: who the processors are, and when a partner let go of a plate.

-- AlterTable
ALTER TABLE "partners" ADD COLUMN     "legal_name" TEXT,
ADD COLUMN     "legal_address" TEXT;

-- AlterTable
ALTER TABLE "vehicle_partners" ADD COLUMN     "closed_at" TIMESTAMPTZ(3),
ADD COLUMN     "kept_for_another" BOOLEAN NOT NULL DEFAULT false;
GRANT UPDATE ("closed_at", "kept_for_another") ON "vehicle_partners" TO domovoy_smart_home, domovoy_communal;

-- Of those that let go before, the journal knows; it names the integration, and not which of its partners.
UPDATE "vehicle_partners" v SET closed_at = said.at, kept_for_another = coalesce(said.reason = 'kept-for-another', false)
  FROM (SELECT DISTINCT ON (object_id, integration) object_id, integration, at, reason FROM "journal_entries"
         WHERE kind = 'vehicle' AND outcome = 'removed-at-partner' ORDER BY object_id, integration, seq DESC) said
 WHERE v.state = 'closed' AND said.object_id = v.vehicle_id::text AND said.integration = v.integration;

-- A demand takes longer for a reason, which the resident is told (152-FZ, article 21 part 5.1).
-- AlterTable
ALTER TABLE "erasures" ADD COLUMN     "prolong_reason" TEXT,
ADD COLUMN     "prolonged_from" TIMESTAMPTZ(3);

-- What has its term goes by the schedule, and not by hand (docs/retention.md).
GRANT DELETE ON "residents", "escalations", "access_reviews", "access_review_items" TO domovoy_core;
