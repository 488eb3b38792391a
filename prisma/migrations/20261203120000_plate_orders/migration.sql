-- A partner that confirmed to have blocked a plate and lets it pass all the same is ordered anew, under a key of its own.
-- AlterTable
ALTER TABLE "plate_holdings" ADD COLUMN     "orders" INTEGER NOT NULL DEFAULT 0;
