-- The act of destruction may not say of somebody that they confirmed what nobody asked them.
-- AlterTable
ALTER TABLE "erasure_holders" ADD COLUMN     "standing" TEXT NOT NULL DEFAULT 'confirmed';
