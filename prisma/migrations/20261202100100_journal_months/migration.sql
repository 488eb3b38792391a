-- The journal lies in a partition for each month (docs/adr/0011), so that a month can go once its term is over.

-- Where an entry lies is known from its time: a lookup by number alone would look into every month.
ALTER TABLE "journal_pending" ADD COLUMN "entry_at" TIMESTAMPTZ(3);
UPDATE "journal_pending" p SET entry_at = coalesce((SELECT at FROM "journal_entries" e WHERE e.seq = p.entry_seq), 'epoch');
ALTER TABLE "journal_pending" ALTER COLUMN "entry_at" SET NOT NULL;
ALTER TABLE "journal_leaves" ADD COLUMN "entry_at" TIMESTAMPTZ(3);
ALTER TABLE "journal_leaves" DISABLE TRIGGER "journal_leaves_append_only";
UPDATE "journal_leaves" l SET entry_at = coalesce((SELECT at FROM "journal_entries" e WHERE e.seq = l.entry_seq), 'epoch');
ALTER TABLE "journal_leaves" ENABLE TRIGGER "journal_leaves_append_only";
ALTER TABLE "journal_leaves" ALTER COLUMN "entry_at" SET NOT NULL;
CREATE INDEX "journal_leaves_entry_at_idx" ON "journal_leaves"("entry_at");

-- The table as it was, by another name until its rows are in the new one.
ALTER TABLE "journal_entries" RENAME TO "journal_entries_whole";
ALTER TABLE "journal_entries_whole" RENAME CONSTRAINT "journal_entries_pkey" TO "journal_entries_whole_pkey";
ALTER INDEX "journal_entries_object_id_idx" RENAME TO "journal_entries_whole_object_id_idx";
ALTER INDEX "journal_entries_subject_idx" RENAME TO "journal_entries_whole_subject_idx";

CREATE TABLE "journal_entries" (
    "seq" BIGINT NOT NULL DEFAULT nextval('journal_entries_seq_seq'),
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "integration" TEXT,
    "kind" TEXT NOT NULL,
    "object_id" TEXT,
    "actor" TEXT,
    "outcome" TEXT,
    "reason" TEXT,
    "subject" TEXT,
    "sealed" BYTEA,

    -- That a number is there once is seen to by the sequence, by the note to the sealer and by the leaf, whose it is.
    CONSTRAINT "journal_entries_pkey" PRIMARY KEY ("seq","at")
) PARTITION BY RANGE ("at");
CREATE INDEX "journal_entries_object_id_idx" ON "journal_entries"("object_id");
CREATE INDEX "journal_entries_subject_idx" ON "journal_entries"("subject");
ALTER SEQUENCE "journal_entries_seq_seq" OWNED BY "journal_entries"."seq";

CREATE FUNCTION journal_month_start(month date) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT date_trunc('month', month::timestamp) AT TIME ZONE 'UTC' $$;
CREATE FUNCTION journal_month_end(month date) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
  SELECT (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC' $$;
CREATE FUNCTION journal_month_table(month date) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT 'journal_entries_' || to_char(month, 'YYYY_MM') $$;

-- What each part has of its own: nobody reads or writes it but through the whole, and it only grows.
CREATE FUNCTION guard_journal_part(part text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
  EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', part);
  EXECUTE format('CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', part);
END $$;
REVOKE ALL ON FUNCTION guard_journal_part(text) FROM PUBLIC;

-- Made apart and attached: so the openings that write meanwhile wait for nothing.
CREATE FUNCTION make_journal_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  part text := journal_month_table(month);
BEGIN
  IF journal_month_start(month) > now() + interval '1 year' THEN RAISE EXCEPTION 'the month is too far ahead'; END IF;
  IF to_regclass(quote_ident(part)) IS NOT NULL THEN RETURN false; END IF;
  EXECUTE format('CREATE TABLE %I (LIKE "journal_entries" INCLUDING DEFAULTS INCLUDING INDEXES)', part);
  EXECUTE format('ALTER TABLE "journal_entries" ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
    part, journal_month_start(month), journal_month_end(month));
  PERFORM guard_journal_part(part);
  RETURN true;
END $$;

-- What no month takes. It has rows only when nobody has made the months in time: an alert says so.
CREATE TABLE "journal_entries_rest" PARTITION OF "journal_entries" DEFAULT;
SELECT guard_journal_part('journal_entries_rest');

SELECT make_journal_month(m::date) FROM generate_series(
  date_trunc('month', least((SELECT min(at) FROM "journal_entries_whole"), now()) AT TIME ZONE 'UTC'),
  date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months', interval '1 month') m;
INSERT INTO "journal_entries" (seq, at, integration, kind, object_id, actor, outcome, reason, subject, sealed)
  SELECT seq, at, integration, kind, object_id, actor, outcome, reason, subject, sealed FROM "journal_entries_whole";
DROP TABLE "journal_entries_whole";

-- As it was guarded before.
CREATE OR REPLACE FUNCTION journal_note_pending() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  INSERT INTO "journal_pending" (entry_seq, entry_at) SELECT seq, at FROM written;
  RETURN NULL;
END $$;
CREATE TRIGGER journal_entries_pending AFTER INSERT ON "journal_entries"
  REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION journal_note_pending();
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "journal_entries"
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE "journal_entries" ENABLE ROW LEVEL SECURITY;
CREATE POLICY smart_home ON "journal_entries" TO domovoy_smart_home USING (integration = 'smart-home');
CREATE POLICY communal ON "journal_entries" TO domovoy_communal USING (integration = 'communal');
CREATE POLICY api ON "journal_entries" TO domovoy_api USING (true);
CREATE POLICY core ON "journal_entries" TO domovoy_core USING (true);
CREATE POLICY auditor ON "journal_entries" FOR SELECT TO domovoy_auditor USING (true);
GRANT SELECT ON "journal_entries" TO domovoy_api, domovoy_core, domovoy_auditor;
GRANT INSERT ("integration", "kind", "object_id", "actor", "outcome", "reason", "subject", "sealed")
  ON "journal_entries" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;
GRANT USAGE ON SEQUENCE "journal_entries_seq_seq" TO domovoy_api, domovoy_smart_home, domovoy_communal, domovoy_core;

-- Months that went after their term. Their leaves, nodes and heads stay: with them everything else is proved as before.
CREATE TABLE "journal_retired" (
    "month" DATE NOT NULL,
    "entries" BIGINT NOT NULL,
    "tree_size" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "journal_retired_pkey" PRIMARY KEY ("month")
);
ALTER TABLE "journal_retired" ENABLE ROW LEVEL SECURITY;
CREATE POLICY core ON "journal_retired" FOR SELECT TO domovoy_core USING (true);
CREATE POLICY auditor ON "journal_retired" FOR SELECT TO domovoy_auditor USING (true);
GRANT SELECT ON "journal_retired" TO domovoy_core, domovoy_auditor;
CREATE TRIGGER journal_retired_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON "journal_retired"
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What is to be said of a month that goes: how many entries, under which signed head all of them are, and their leaves.
-- A month of which an entry has no place, or is under no head yet, has no such line.
CREATE FUNCTION journal_month_summary(month date)
RETURNS TABLE (entries bigint, tree_size bigint, digest text, signed_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT leaves.entries, head.tree_size, leaves.digest, head.at
  FROM (SELECT count(*) AS entries, max(position) AS last,
          encode(sha256(string_agg(int8send(position) || leaf_hash, ''::bytea ORDER BY position)), 'hex') AS digest
        FROM "journal_leaves"
        WHERE entry_at >= journal_month_start(month) AND entry_at < journal_month_end(month)) leaves
  CROSS JOIN LATERAL (SELECT h.tree_size, h.at FROM "journal_heads" h WHERE h.tree_size > leaves.last
                      ORDER BY h.tree_size LIMIT 1) head
  WHERE NOT EXISTS (SELECT FROM "journal_pending" p
                    WHERE p.entry_at >= journal_month_start(month) AND p.entry_at < journal_month_end(month))
    AND leaves.entries = (SELECT count(*) FROM "journal_entries" e
                          WHERE e.at >= journal_month_start(month) AND e.at < journal_month_end(month)) $$;

-- The only way in which entries go: a whole month, five years after its last entry was signed, and announced in the
-- journal itself under a signed head, so that whoever verifies finds out by whose word it is not there.
CREATE FUNCTION drop_journal_month(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  part text := journal_month_table(month);
  said record;
BEGIN
  IF to_regclass(quote_ident(part)) IS NULL THEN RAISE EXCEPTION 'there is no such month'; END IF;
  IF journal_month_end(month) > now() - interval '5 years' THEN RAISE EXCEPTION 'the month is too young'; END IF;
  SELECT * INTO said FROM journal_month_summary(month);
  IF NOT FOUND THEN RAISE EXCEPTION 'the month is not wholly sealed'; END IF;
  IF said.signed_at > now() - interval '5 years' THEN RAISE EXCEPTION 'the month is too young'; END IF;
  IF NOT EXISTS (
    SELECT FROM "journal_entries" e JOIN "journal_leaves" l ON l.entry_seq = e.seq AND l.entry_at = e.at
    WHERE e.kind = 'journal-retention' AND e.object_id = to_char(month, 'YYYY-MM') AND e.outcome = 'announced'
      AND e.reason = format('%s %s %s', said.entries, said.tree_size, said.digest)
      AND l.position < (SELECT max(h.tree_size) FROM "journal_heads" h)
  ) THEN RAISE EXCEPTION 'the month is not announced under a signed head'; END IF;
  INSERT INTO "journal_retired" (month, entries, tree_size, digest)
    VALUES (date_trunc('month', month)::date, said.entries, said.tree_size, said.digest);
  EXECUTE format('DROP TABLE %I', part);
END $$;

CREATE FUNCTION journal_months() RETURNS SETOF date LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
  SELECT to_date(substring(c.relname FROM '\d{4}_\d\d$'), 'YYYY_MM') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = '"journal_entries"'::regclass AND c.relname ~ '_\d{4}_\d\d$' ORDER BY 1 $$;
CREATE FUNCTION journal_has_rest() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM "journal_entries_rest") $$;

REVOKE ALL ON FUNCTION make_journal_month(date), drop_journal_month(date), journal_month_summary(date),
  journal_has_rest() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_journal_month(date), drop_journal_month(date), journal_month_summary(date),
  journal_has_rest() TO domovoy_core;
