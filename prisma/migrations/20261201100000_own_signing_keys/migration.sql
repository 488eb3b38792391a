-- Besides the keys of our access tokens, the keys that sign our answers to partners are kept in versions and replaced by
-- rotation (R0.6, R0.8, R3.1): one table, in which `purpose` tells them apart.
ALTER TABLE "token_signing_keys" RENAME TO "own_signing_keys";
ALTER TABLE "own_signing_keys" ADD COLUMN "purpose" TEXT NOT NULL DEFAULT 'token';
ALTER TABLE "own_signing_keys" ALTER COLUMN "purpose" DROP DEFAULT;
ALTER TABLE "own_signing_keys" ADD CONSTRAINT "own_signing_keys_purpose" CHECK ("purpose" IN ('token', 'message'));
ALTER TABLE "own_signing_keys" DROP CONSTRAINT "token_signing_keys_pkey";
ALTER TABLE "own_signing_keys" ADD CONSTRAINT "own_signing_keys_pkey" PRIMARY KEY ("purpose", "version");
ALTER INDEX "token_signing_keys_kid_key" RENAME TO "own_signing_keys_kid_key";
DROP INDEX "token_signing_keys_one_signs";
DROP INDEX "token_signing_keys_one_prepared";
CREATE UNIQUE INDEX "own_signing_keys_one_signs" ON "own_signing_keys" ("purpose") WHERE "state" = 'signing';
CREATE UNIQUE INDEX "own_signing_keys_one_prepared" ON "own_signing_keys" ("purpose") WHERE "state" = 'published';

-- The keys that a process goes by, of either purpose.
ALTER TABLE "token_key_readers" RENAME TO "own_key_readers";
ALTER TABLE "own_key_readers" RENAME CONSTRAINT "token_key_readers_pkey" TO "own_key_readers_pkey";

-- How old they are is for the auditor to see; what wraps them is not.
GRANT SELECT ("purpose", "version", "kid", "state", "created_at") ON "own_signing_keys" TO domovoy_auditor;
