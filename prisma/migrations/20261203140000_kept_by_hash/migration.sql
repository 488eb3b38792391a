-- What others show us is kept by its slow hash alone once they use it (R4.4, docs/adr/0080): until then the value is there
-- for its delivery. Of our client certificates it is known when they end, also by who may not open them.
ALTER TABLE "secrets" ADD COLUMN "hash" TEXT, ADD COLUMN "ends_at" TIMESTAMPTZ(3);
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_in_use_by_hash"
  CHECK ("state" = 'pending' OR "hash" IS NULL OR "wrapped" IS NULL);
GRANT SELECT ("ends_at") ON "secrets" TO domovoy_auditor;

DROP FUNCTION complete_carried_request(uuid, bytea, text);
CREATE FUNCTION complete_carried_request(handover uuid, completed bytea, wrapped_by text, certificate_ends timestamptz)
  RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE "secrets" s SET wrapped = completed, key_id = wrapped_by, ends_at = certificate_ends
    FROM "credential_handovers" h
    WHERE h.id = handover AND h.direction = 'presented' AND h.name = 'tls-key' AND h.taken_at IS NOT NULL
      AND s.owner = h.owner AND s.name = h.secret_name AND s.version = h.version AND s.state = 'pending';
  RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION complete_carried_request(uuid, bytea, text, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION complete_carried_request(uuid, bytea, text, timestamptz) TO domovoy_api;
