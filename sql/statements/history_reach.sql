-- The time from which the events of tables count: for each table, identified by its place in the lists, the time of the
-- first event after the table's last mass removal; NULL if there is none.
--
-- Removals for one peer name the peer, and the table without the first "|" and the text after it; a removal without a
-- table applies to all tables of the router. The index has the events of all peers of a table together, so the first
-- event may be another peer's: the result is only a bound.
SELECT t.place::int AS place, first.ingest_time
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[]) WITH ORDINALITY
    AS t (router_id, table_name, afi, peer_address, place)
CROSS JOIN LATERAL (
    SELECT GREATEST((SELECT max(s.event_time) FROM session_events s
                     WHERE s.router_id = t.router_id AND s.table_name IN (t.table_name, split_part(t.table_name, '|', 1))
                       AND s.kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped')
                       AND s.peer_address IS NOT DISTINCT FROM t.peer_address),
                    (SELECT max(s.event_time) FROM session_events s
                     WHERE s.router_id = t.router_id AND s.table_name IS NULL
                       AND s.kind = 'stale_expired'),
                    '-infinity') AS removed_at
) AS removal
LEFT JOIN LATERAL (
    SELECT e.ingest_time
    FROM {events} e
    WHERE e.router_id = t.router_id AND e.table_name = t.table_name AND e.afi = t.afi
      AND e.ingest_time > removal.removed_at
    ORDER BY e.ingest_time
    LIMIT 1
) AS first ON true
ORDER BY t.place
