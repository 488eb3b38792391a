-- A session of staff is good in the browser that it was made in: a keyed hash of what that browser says of itself and of
-- the network that it comes from (docs/adr/0018). Sessions from before are bound to nothing, and so they are over.
ALTER TABLE "staff_sessions" ADD COLUMN "bound_to" TEXT NOT NULL DEFAULT '';
ALTER TABLE "staff_sessions" ALTER COLUMN "bound_to" DROP DEFAULT;
UPDATE "staff_sessions" SET "ended_at" = now() WHERE "ended_at" IS NULL;
