-- Residents' vehicles (R1.9, R3.13), and what partners in plate custody have of them.

-- CreateTable
CREATE TABLE "vehicles" (
    "id" UUID NOT NULL,
    "resident_id" UUID NOT NULL,
    "house_id" UUID,
    "plate_index" BYTEA,
    "sealed" BYTEA,
    "kind" TEXT NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'active',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "removed_at" TIMESTAMPTZ(3),

    CONSTRAINT "vehicles_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "vehicle_partners" (
    "vehicle_id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "integration" TEXT NOT NULL,
    "state" TEXT NOT NULL DEFAULT 'open',

    CONSTRAINT "vehicle_partners_pkey" PRIMARY KEY ("vehicle_id","partner_id")
);

-- CreateTable
CREATE TABLE "plate_holdings" (
    "id" UUID NOT NULL,
    "partner_id" TEXT NOT NULL,
    "house_id" UUID NOT NULL,
    "integration" TEXT NOT NULL,
    "plate_index" BYTEA NOT NULL,
    "state" TEXT NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "plate_holdings_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "vehicles_resident_id_idx" ON "vehicles"("resident_id");

-- CreateIndex
CREATE INDEX "vehicles_plate_index_idx" ON "vehicles"("plate_index");

-- CreateIndex
CREATE UNIQUE INDEX "plate_holdings_partner_id_house_id_plate_index_key" ON "plate_holdings"("partner_id", "house_id", "plate_index");

-- AddForeignKey
ALTER TABLE "vehicles" ADD CONSTRAINT "vehicles_resident_id_fkey" FOREIGN KEY ("resident_id") REFERENCES "residents"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "vehicles" ADD CONSTRAINT "vehicles_house_id_fkey" FOREIGN KEY ("house_id") REFERENCES "houses"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "vehicle_partners" ADD CONSTRAINT "vehicle_partners_vehicle_id_fkey" FOREIGN KEY ("vehicle_id") REFERENCES "vehicles"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "vehicle_partners" ADD CONSTRAINT "vehicle_partners_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "plate_holdings" ADD CONSTRAINT "plate_holdings_partner_id_fkey" FOREIGN KEY ("partner_id") REFERENCES "partners"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "plate_holdings" ADD CONSTRAINT "plate_holdings_house_id_fkey" FOREIGN KEY ("house_id") REFERENCES "houses"("id") ON DELETE RESTRICT ON UPDATE CASCADE;


-- A resident has a vehicle once, also when two requests come at the same instant. Residents of a family share a plate.
CREATE UNIQUE INDEX "vehicles_one_of_a_plate" ON "vehicles" ("resident_id", "plate_index") WHERE "status" = 'active';

GRANT SELECT ON "vehicles", "vehicle_partners", "plate_holdings" TO domovoy_api, domovoy_core;
GRANT INSERT, UPDATE ON "vehicles" TO domovoy_api;
GRANT INSERT ON "vehicle_partners" TO domovoy_api;
GRANT SELECT ON "vehicles" TO domovoy_smart_home, domovoy_communal;

-- What belongs to an integration: its worker reaches its own rows, also when the code is wrong (R4.2, R4.10).
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['vehicle_partners', 'plate_holdings'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY smart_home ON %I TO domovoy_smart_home USING (integration = ''smart-home'')', t);
    EXECUTE format('CREATE POLICY communal ON %I TO domovoy_communal USING (integration = ''communal'')', t);
    EXECUTE format('CREATE POLICY api ON %I TO domovoy_api USING (true)', t);
    EXECUTE format('CREATE POLICY core ON %I TO domovoy_core USING (true)', t);
    EXECUTE format('GRANT SELECT ON %I TO domovoy_smart_home, domovoy_communal', t);
  END LOOP;
END $$;
GRANT UPDATE ("state") ON "vehicle_partners" TO domovoy_smart_home, domovoy_communal;
GRANT INSERT, UPDATE, DELETE ON "plate_holdings" TO domovoy_smart_home, domovoy_communal;

-- A vehicle belongs to its resident, not to an integration: a worker sees it once one of its own partners hears of it.
-- The policy of vehicle_partners applies inside, so that each worker finds only its own there.
ALTER TABLE "vehicles" ENABLE ROW LEVEL SECURITY;
CREATE POLICY api ON "vehicles" TO domovoy_api USING (true);
CREATE POLICY core ON "vehicles" TO domovoy_core USING (true);
CREATE POLICY workers ON "vehicles" FOR SELECT TO domovoy_smart_home, domovoy_communal
  USING (EXISTS (SELECT 1 FROM "vehicle_partners" p WHERE p.vehicle_id = "vehicles".id));

-- The last partner that has nothing of a removed vehicle any more takes the plate with it. Only here all partners can be
-- seen: a worker knows those of its integration.
CREATE FUNCTION forget_removed_plate() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  PERFORM 1 FROM "vehicles" WHERE id = NEW.vehicle_id FOR UPDATE; -- partners that end together take turns
  UPDATE "vehicles" SET sealed = NULL, plate_index = NULL
  WHERE id = NEW.vehicle_id AND status = 'removed'
    AND NOT EXISTS (SELECT 1 FROM "vehicle_partners" p WHERE p.vehicle_id = NEW.vehicle_id AND p.state <> 'closed');
  RETURN NULL;
END $$;
CREATE TRIGGER vehicle_partners_closed AFTER UPDATE ON "vehicle_partners"
  FOR EACH ROW WHEN (NEW.state = 'closed') EXECUTE FUNCTION forget_removed_plate();
