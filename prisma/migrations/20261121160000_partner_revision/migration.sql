-- Whoever keeps what it made from a partner's row goes by this number: no change may leave it as it was.
CREATE FUNCTION partner_revision_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.revision <= OLD.revision THEN
    NEW.revision := OLD.revision + 1;
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER partner_revision BEFORE UPDATE ON "partners"
  FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION partner_revision_rises();

-- What we show the partner is read once for each revision, too: taking another secret into use is such a change.
CREATE FUNCTION partner_secret_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
  UPDATE "partners" SET "revision" = "revision" + 1 WHERE "id" = NEW."owner";
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION partner_secret_changed() FROM PUBLIC;

CREATE TRIGGER partner_secret_inserted AFTER INSERT ON "secrets"
  FOR EACH ROW WHEN (NEW."state" = 'active') EXECUTE FUNCTION partner_secret_changed();
CREATE TRIGGER partner_secret_updated AFTER UPDATE OF "state" ON "secrets"
  FOR EACH ROW WHEN (NEW."state" IS DISTINCT FROM OLD."state") EXECUTE FUNCTION partner_secret_changed();
