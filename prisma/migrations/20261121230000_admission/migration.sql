-- As before, and quicker while there is room: a place is tried at random before all of them are looked at.
CREATE OR REPLACE FUNCTION take_request_slot(k text, places integer, who uuid, lease interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  s integer;
BEGIN
  IF places < 1 THEN RETURN NULL; END IF;
  FOR i IN 1..3 LOOP
    s := 1 + floor(random() * places)::integer;
    INSERT INTO request_slots AS t (key, slot, holder, until) VALUES (k, s, who, clock_timestamp() + lease)
    ON CONFLICT (key, slot) DO UPDATE SET holder = excluded.holder, until = excluded.until
      WHERE t.until <= clock_timestamp();
    IF FOUND THEN RETURN s; END IF;
  END LOOP;
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

-- Counts a request against the agreed rate of its caller and takes a place for it (R4.13), in one statement.
--
-- The count is a row of rate_limits as rate-limiter-flexible writes it: a window of one second that begins with its first
-- request. A place is taken only by who is within the rate. Neither has to outlive a crash of the server, so that the
-- commit does not wait for the disk: the row of a busy caller is the one that all its requests queue for.
CREATE FUNCTION admit_request(
  k text, per_second integer, places integer, who uuid, lease interval,
  OUT used integer, OUT reset_ms integer, OUT slot integer
) LANGUAGE plpgsql AS $$
DECLARE
  now_ms bigint := extract(epoch FROM clock_timestamp()) * 1000;
  until_ms bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO rate_limits AS r (key, points, expire) VALUES ('requests:' || k, 1, now_ms + 1000)
  ON CONFLICT (key) DO UPDATE SET
    points = CASE WHEN r.expire <= now_ms THEN 1 ELSE r.points + 1 END,
    expire = CASE WHEN r.expire <= now_ms THEN excluded.expire ELSE r.expire END
  RETURNING r.points, r.expire INTO used, until_ms;
  reset_ms := greatest(0, until_ms - now_ms);
  IF used <= per_second THEN
    slot := take_request_slot(k, places, who, lease);
  END IF;
END $$;
