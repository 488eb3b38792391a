-- Where a house stands, as far as it is known: how fast somebody would have to travel from one to another (R0.12). Read by
-- whoever reads houses; only the owner of the tables writes it.
ALTER TABLE "houses" ADD COLUMN "latitude" DOUBLE PRECISION, ADD COLUMN "longitude" DOUBLE PRECISION;
ALTER TABLE "houses" ADD CONSTRAINT "houses_place" CHECK (
  ("latitude" IS NULL AND "longitude" IS NULL)
  OR (coalesce("latitude" BETWEEN -90 AND 90, false) AND coalesce("longitude" BETWEEN -180 AND 180, false))
);
