-- Equipment as partners list it (R3.11).
ALTER TABLE "access_points"
  ADD COLUMN "label" TEXT NOT NULL DEFAULT '',
  ADD COLUMN "online" BOOLEAN NOT NULL DEFAULT true,
  ADD COLUMN "listed_at" TIMESTAMPTZ(3);
-- What billing calls the service behind whatever this partner opens at this house.
ALTER TABLE "house_partners" ADD COLUMN "service" TEXT NOT NULL DEFAULT 'smart-access';

-- The row-level policies of both roles hold for new rows too.
GRANT INSERT ON "access_points" TO domovoy_smart_home, domovoy_communal;
