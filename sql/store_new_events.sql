-- Stores the staged events, except those whose id is stored already between $1 and $2.
--
-- The primary key alone cannot tell: it holds the time as well, and a replay has another one. The ids of a batch that
-- is sent again with its old times are found by the same search; ON CONFLICT stays as the second lock on the door.
INSERT INTO route_events
SELECT DISTINCT ON (s.event_id) s.*
FROM staged_events s
WHERE NOT EXISTS (
    SELECT FROM route_events e
    WHERE e.event_id = s.event_id
      AND e.ingest_time >= to_timestamp($1::double precision) AND e.ingest_time < to_timestamp($2::double precision))
ORDER BY s.event_id, s.ingest_time
ON CONFLICT (event_id, ingest_time) DO NOTHING
