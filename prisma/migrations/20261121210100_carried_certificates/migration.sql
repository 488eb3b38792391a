-- A request for a certificate that a person carried to the partner: its secret is opened once more, for the certificate to
-- take the place of the request. Only what was handed out, and only as long as nothing uses it.
CREATE FUNCTION carried_request(handover uuid)
  RETURNS TABLE (owner text, name text, version integer, wrapped bytea, key_id text)
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT s.owner, s.name, s.version, s.wrapped, s.key_id FROM "credential_handovers" h
  JOIN "secrets" s ON s.owner = h.owner AND s.name = h.secret_name AND s.version = h.version
  WHERE h.id = handover AND h.direction = 'presented' AND h.name = 'tls-key' AND h.taken_at IS NOT NULL
    AND s.state = 'pending' AND s.wrapped IS NOT NULL
  FOR UPDATE OF s
$$;
CREATE FUNCTION complete_carried_request(handover uuid, completed bytea, wrapped_by text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
  UPDATE "secrets" s SET wrapped = completed, key_id = wrapped_by FROM "credential_handovers" h
    WHERE h.id = handover AND h.direction = 'presented' AND h.name = 'tls-key' AND h.taken_at IS NOT NULL
      AND s.owner = h.owner AND s.name = h.secret_name AND s.version = h.version AND s.state = 'pending';
  RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION carried_request(uuid), complete_carried_request(uuid, bytea, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION carried_request(uuid), complete_carried_request(uuid, bytea, text) TO domovoy_api;
