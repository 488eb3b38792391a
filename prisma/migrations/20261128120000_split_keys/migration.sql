-- A subject's key lies in two halves, one here and one in the key store (docs/adr/0090).

-- AlterTable
ALTER TABLE "subject_keys" ADD COLUMN     "split_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "erasures" ADD COLUMN     "share_destroyed_at" TIMESTAMPTZ(3),
ADD COLUMN     "whole_key_until" TIMESTAMPTZ(3);

-- Of those that were erased before, backups hold the whole key.
UPDATE "erasures" SET whole_key_until = erased_at WHERE erased_at IS NOT NULL;

-- Of whom a restored backup brings back with plates that no longer open (erasure/again.ts).
GRANT DELETE ON "plate_holdings" TO domovoy_core;
