-- Who asked for an erasure and by what proof; demands of staff wait for a second one; holds on a resident, under which
-- nothing of them is destroyed.

-- AlterTable
ALTER TABLE "erasures" ADD COLUMN     "requested_by" TEXT,
ADD COLUMN     "identity_method" TEXT,
ADD COLUMN     "identified_at" TIMESTAMPTZ(3),
ADD COLUMN     "identity_reference" TEXT,
ADD COLUMN     "mandate" TEXT,
ADD COLUMN     "held_until" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "erasure_demands" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "basis" TEXT NOT NULL,
    "requested_by" TEXT NOT NULL,
    "identity_method" TEXT NOT NULL,
    "identified_at" TIMESTAMPTZ(3) NOT NULL,
    "identity_reference" TEXT NOT NULL,
    "mandate" TEXT,
    "proposed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "erasure_demands_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "resident_holds" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "reason" TEXT NOT NULL,
    "reference" TEXT NOT NULL,
    "until" TIMESTAMPTZ(3) NOT NULL,
    "placed_by" TEXT NOT NULL,
    "placed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "released_at" TIMESTAMPTZ(3),

    CONSTRAINT "resident_holds_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "erasure_demands_resident_id_idx" ON "erasure_demands"("resident_id");

-- CreateIndex
CREATE INDEX "resident_holds_resident_id_idx" ON "resident_holds"("resident_id");

-- AddForeignKey
ALTER TABLE "erasure_demands" ADD CONSTRAINT "erasure_demands_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "resident_holds" ADD CONSTRAINT "resident_holds_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['erasure_demands', 'resident_holds'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_api, domovoy_core', t);
    EXECUTE format('GRANT DELETE ON %I TO domovoy_core', t); -- With the person.
  END LOOP;
END $$;
GRANT INSERT ON "erasure_demands", "resident_holds" TO domovoy_api;
GRANT UPDATE ("released_at") ON "resident_holds" TO domovoy_api;

-- Whether nothing of a resident may be destroyed now: one rule for every process. Workers of the integrations learn this
-- one word and see neither holds nor erasures.
CREATE FUNCTION is_resident_held(resident uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM resident_holds h
                  WHERE h.resident_id = resident AND h.released_at IS NULL AND h.until > now())
      OR EXISTS (SELECT FROM erasures e
                  WHERE e.resident_id = resident AND e.hold_reason IS NOT NULL
                    AND (e.held_until IS NULL OR e.held_until > now()))
$$;
REVOKE ALL ON FUNCTION is_resident_held(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION is_resident_held(uuid) TO domovoy_api, domovoy_core, domovoy_smart_home, domovoy_communal;

-- Blocking a plate takes access and goes on; our own copy of it stays as long as a hold is in force.
CREATE OR REPLACE FUNCTION forget_removed_plate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  PERFORM 1 FROM "vehicles" WHERE id = NEW.vehicle_id FOR UPDATE; -- partners that end together take turns
  UPDATE "vehicles" SET sealed = NULL, plate_index = NULL
  WHERE id = NEW.vehicle_id AND status = 'removed' AND NOT is_resident_held(resident_id)
    AND NOT EXISTS (SELECT 1 FROM "vehicle_partners" p WHERE p.vehicle_id = NEW.vehicle_id AND p.state <> 'closed');
  RETURN NULL;
END $$;
