-- The key store (docs/adr/0090): the other half of each subject's key, in a database of its own with backups of its own.
CREATE TABLE "subject_key_shares" (
    "resident_id" UUID NOT NULL,
    "share" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "subject_key_shares_pkey" PRIMARY KEY ("resident_id"),
    CONSTRAINT "subject_key_shares_of_a_key" CHECK (octet_length("share") = 32)
);

-- Of the same parts of the house as in the main database, under names of their own: a login there is none here.
DO $$
DECLARE r text;
BEGIN
  FOREACH r IN ARRAY ARRAY['domovoy_keys_api', 'domovoy_keys_smart_home', 'domovoy_keys_communal', 'domovoy_keys_core'] LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to this database
    END;
  END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public
  TO domovoy_keys_api, domovoy_keys_smart_home, domovoy_keys_communal, domovoy_keys_core;
GRANT SELECT ON "subject_key_shares"
  TO domovoy_keys_api, domovoy_keys_smart_home, domovoy_keys_communal, domovoy_keys_core;
GRANT INSERT ON "subject_key_shares" TO domovoy_keys_api, domovoy_keys_core;
GRANT DELETE ON "subject_key_shares" TO domovoy_keys_core;
-- Nobody may change a share: what is sealed under the key would be lost.
