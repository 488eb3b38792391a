-- What a contract says of how much a partner may ask of us at once, and how well it must serve us (R4.13).
ALTER TABLE "partners"
  ADD COLUMN "inbound_per_second" INTEGER NOT NULL DEFAULT 50,
  ADD COLUMN "inbound_concurrency" INTEGER NOT NULL DEFAULT 32,
  ADD COLUMN "sla_availability" DOUBLE PRECISION NOT NULL DEFAULT 0.995,
  ADD COLUMN "sla_latency_ms" INTEGER NOT NULL DEFAULT 1500;

-- Requests under way, over all API processes. Unlogged: after a crash of the server nothing is under way.
CREATE UNLOGGED TABLE "request_slots" (
  "key" TEXT NOT NULL,
  "slot" INTEGER NOT NULL,
  "holder" UUID NOT NULL,
  "until" TIMESTAMPTZ NOT NULL,
  PRIMARY KEY ("key", "slot")
);
GRANT SELECT, INSERT, UPDATE ON "request_slots" TO domovoy_api;

-- Takes one of `places` for `lease`; NULL when all are taken. A lease that ran out was a process that died.
CREATE FUNCTION take_request_slot(k text, places integer, who uuid, lease interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  s integer;
BEGIN
  FOR s IN
    SELECT n FROM generate_series(1, places) AS n
    WHERE NOT EXISTS (SELECT FROM request_slots AS t WHERE t.key = k AND t.slot = n AND t.until > clock_timestamp())
    ORDER BY random()
  LOOP
    INSERT INTO request_slots AS t (key, slot, holder, until) VALUES (k, s, who, clock_timestamp() + lease)
    ON CONFLICT (key, slot) DO UPDATE SET holder = excluded.holder, until = excluded.until
      WHERE t.until <= clock_timestamp();
    IF FOUND THEN RETURN s; END IF;
  END LOOP;
  RETURN NULL;
END $$;
