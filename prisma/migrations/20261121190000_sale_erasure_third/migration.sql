-- The act of destruction may not say of somebody that they confirmed what nobody asked them.
-- AlterTable
ALTER TABLE "erasure_holders" ADD COLUMN     "standing" TEXT NOT NULL DEFAULT 'confirmed';

-- A sale of a later date dates the end of rights at once; when it is called off, what other sales found is mended.
GRANT UPDATE ("previous_ends_at") ON "property_sale_rights" TO domovoy_api, domovoy_core;
