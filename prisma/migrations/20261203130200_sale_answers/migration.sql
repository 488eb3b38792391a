-- What a person who is called about a sale sees of each partner: when it was told, and what it answered last.
-- AlterTable
ALTER TABLE "property_sale_partners" ADD COLUMN     "last_answer" TEXT,
ADD COLUMN     "last_answer_at" TIMESTAMPTZ(3),
ADD COLUMN     "last_told_at" TIMESTAMPTZ(3);
GRANT UPDATE ("last_answer", "last_answer_at", "last_told_at") ON "property_sale_partners" TO domovoy_core;
