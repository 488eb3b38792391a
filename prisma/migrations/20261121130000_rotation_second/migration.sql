-- Keys that sign our own access tokens, in versions. A key is published before anything is signed with it, and stays
-- published until the last token that it signed has run out (R0.6, R3.1).
CREATE TABLE "token_signing_keys" (
  "version" INTEGER NOT NULL,
  "kid" TEXT NOT NULL,
  "state" TEXT NOT NULL,
  "wrapped" BYTEA,
  "key_id" TEXT NOT NULL,
  "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "token_signing_keys_pkey" PRIMARY KEY ("version")
);
CREATE UNIQUE INDEX "token_signing_keys_kid_key" ON "token_signing_keys" ("kid");
CREATE UNIQUE INDEX "token_signing_keys_one_signs" ON "token_signing_keys" ("state") WHERE "state" = 'signing';
CREATE UNIQUE INDEX "token_signing_keys_one_prepared" ON "token_signing_keys" ("state") WHERE "state" = 'published';
-- The API takes in the keys of its configuration once, when there are none; everything after that is core's.
GRANT SELECT, INSERT ON "token_signing_keys" TO domovoy_api;
GRANT SELECT, INSERT, UPDATE ON "token_signing_keys" TO domovoy_core;

-- Which keys each API process goes by: a key is signed with once all of them know it, and gone once none does.
CREATE TABLE "token_key_readers" (
  "process_id" UUID NOT NULL,
  "kids" TEXT[],
  "seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  CONSTRAINT "token_key_readers_pkey" PRIMARY KEY ("process_id")
);
GRANT SELECT, INSERT, UPDATE, DELETE ON "token_key_readers" TO domovoy_api;
GRANT SELECT ON "token_key_readers" TO domovoy_core;
