-- The clock that the hours below go by. Only the owner of the tables writes it.
ALTER TABLE "houses" ADD COLUMN "time_zone" TEXT NOT NULL DEFAULT 'Europe/Moscow';

-- When an access point opens, for everybody or for rights of one kind; without a row: always (docs/adr/0072).
CREATE TABLE "visiting_hours" (
    "id" UUID NOT NULL,
    "access_point_id" UUID NOT NULL,
    "integration" TEXT NOT NULL,
    "right_kind" TEXT,
    "days" INTEGER[],
    "from_minute" INTEGER NOT NULL,
    "to_minute" INTEGER NOT NULL,
    "set_by" TEXT NOT NULL,
    "set_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "visiting_hours_pkey" PRIMARY KEY ("id")
);
ALTER TABLE "visiting_hours" ADD CONSTRAINT "visiting_hours_times" CHECK (
  "from_minute" BETWEEN 0 AND 1439 AND "to_minute" BETWEEN 0 AND 1439
  AND coalesce(cardinality("days"), 0) > 0 AND "days" <@ ARRAY[1, 2, 3, 4, 5, 6, 7]
);
CREATE INDEX "visiting_hours_access_point_id_idx" ON "visiting_hours"("access_point_id");

-- Hours in another integration than their access point would be seen by no worker that decides there, and bind nobody.
CREATE UNIQUE INDEX "access_points_id_integration_key" ON "access_points"("id", "integration");
ALTER TABLE "visiting_hours" ADD CONSTRAINT "visiting_hours_access_point_id_integration_fkey"
  FOREIGN KEY ("access_point_id", "integration") REFERENCES "access_points"("id", "integration") ON DELETE RESTRICT ON UPDATE CASCADE;

ALTER TABLE "visiting_hours" ENABLE ROW LEVEL SECURITY;
CREATE POLICY smart_home ON "visiting_hours" TO domovoy_smart_home USING (integration = 'smart-home');
CREATE POLICY communal ON "visiting_hours" TO domovoy_communal USING (integration = 'communal');
CREATE POLICY api ON "visiting_hours" TO domovoy_api USING (true);
CREATE POLICY core ON "visiting_hours" TO domovoy_core USING (true);
GRANT SELECT ON "visiting_hours" TO domovoy_smart_home, domovoy_communal, domovoy_api, domovoy_core;
GRANT INSERT, DELETE ON "visiting_hours" TO domovoy_api;
