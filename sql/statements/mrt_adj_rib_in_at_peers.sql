-- The peers of the router $1 that had routes in the table $2 after ($3) or before policy up to $4, by family, whether any of
-- these had a path identifier, and whether the history tells all of the table as it was then. The unicast table beside it is
-- $5. A row without a peer is there in any case.
--
-- Completeness is as api_history_complete_adj.sql has it, of all prefixes.
WITH base AS MATERIALIZED (
    SELECT b.kind, b.events_from,
           (SELECT max(g.event_time) FROM session_events g
            WHERE g.router_id = $1 AND g.kind = 'gap' AND g.event_time <= $4) AS gap_at,
           EXISTS (SELECT FROM session_events s
                   WHERE s.router_id = $1 AND s.kind = 'history_off' AND s.event_time > $4) AS is_off_later
    FROM history_base($1, '', $4::timestamptz) AS b
), told AS MATERIALIZED (
    SELECT s.peer_address,
           max(s.event_time) FILTER (WHERE s.kind IN ('peer_down', 'terminated', 'stale_expired') AND s.event_time <= $4) AS removed_at,
           max(s.event_time) FILTER (WHERE s.kind = 'view_dropped' AND s.event_time <= $4) AS dropped_at,
           bool_or(s.kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped') AND s.event_time > $4) AS is_removed_later
    FROM session_events s
    WHERE s.router_id = $1 AND s.peer_address IS NOT NULL AND s.table_name IN ($2, $5)
      AND s.kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped')
    GROUP BY s.peer_address
), tables AS MATERIALIZED (
    SELECT p.peer_address, d.removed_at, COALESCE(d.is_removed_later, false) AS is_removed_later, p.afis,
           GREATEST(b.gap_at, d.dropped_at) AS lost_at,
           GREATEST(CASE WHEN d.removed_at > b.events_from THEN d.removed_at END,
                    CASE WHEN f.first_seen >= b.events_from THEN f.first_seen END,
                    CASE WHEN b.kind = 'empty' THEN b.events_from END) AS empty_at
    FROM base b
    CROSS JOIN (SELECT n.peer_address, array_agg(n.afi) FILTER (WHERE n.afi IS NOT NULL) AS afis
                FROM (SELECT t.peer_address, t.afi FROM adj_rib_in_sync_status t
                      WHERE t.router_id = $1 AND t.table_name = $2 AND t.is_post_policy = $3
                      UNION SELECT d.peer_address, NULL FROM told d) AS n
                GROUP BY n.peer_address) AS p
    LEFT JOIN told d ON d.peer_address = p.peer_address
    LEFT JOIN LATERAL (SELECT min(k.first_seen) AS first_seen FROM peers k
                       WHERE k.router_id = $1 AND k.peer_address = p.peer_address) AS f ON true
), verdict AS MATERIALIZED (
    SELECT COALESCE(bool_and(CASE
               WHEN b.kind = 'blind' THEN false
               -- Something was lost, and not each family has ended a dump since.
               WHEN t.lost_at >= COALESCE(t.empty_at, '-infinity')
                    AND (t.afis IS NULL
                         OR EXISTS (SELECT FROM unnest(t.afis) AS a(afi)
                                    WHERE NOT EXISTS (SELECT FROM session_events d
                                                      WHERE d.router_id = $1 AND d.peer_address = t.peer_address AND d.table_name = $2
                                                        AND d.kind IN ('end_of_rib', 'eor_timeout') AND d.afi = a.afi
                                                        AND d.event_time > t.lost_at AND d.event_time <= $4))) THEN false
               WHEN t.empty_at IS NOT NULL THEN true
               WHEN t.is_removed_later OR b.is_off_later THEN false
               -- A path that has not changed since the moment is as it is now.
               ELSE NOT EXISTS (
                   SELECT FROM route_events e
                   WHERE e.router_id = $1 AND e.table_name = $2 AND e.afi IN (4, 6) AND e.ingest_time > $4
                     AND e.rib = 'adj-rib-in' AND e.peer_address = t.peer_address AND e.is_post_policy = $3
                     AND NOT EXISTS (SELECT FROM route_events o
                                     WHERE o.router_id = $1 AND o.table_name = $2 AND o.afi = e.afi AND o.prefix = e.prefix
                                       AND o.ingest_time > b.events_from AND o.ingest_time <= $4
                                       AND o.rib = 'adj-rib-in' AND o.peer_address = e.peer_address AND o.is_post_policy = $3
                                       AND COALESCE(o.path_id, 0) = COALESCE(e.path_id, 0))
                     AND NOT EXISTS (SELECT FROM adj_rib_in c
                                     WHERE c.router_id = $1 AND c.peer_address = e.peer_address AND c.is_post_policy = $3
                                       AND c.table_name = $2 AND c.afi = e.afi AND c.prefix = e.prefix
                                       AND c.path_id = COALESCE(e.path_id, 0) AND c.updated_at <= $4))
               END), min(b.kind) <> 'blind') AS is_complete
    FROM base b
    LEFT JOIN tables t ON true
    WHERE t.peer_address IS NOT NULL OR NOT EXISTS (SELECT FROM tables)
), had AS (
    SELECT e.peer_address, e.peer_asn, e.peer_bgp_id, e.afi, COALESCE(e.path_id, 0) AS path_id
    FROM route_events e
    LEFT JOIN told d ON d.peer_address = e.peer_address
    WHERE e.router_id = $1 AND e.table_name = $2 AND e.afi IN (4, 6) AND e.rib = 'adj-rib-in' AND e.is_post_policy = $3
      AND e.action = 'A' AND e.ingest_time > (SELECT b.events_from FROM base b) AND e.ingest_time <= $4
      AND e.ingest_time > COALESCE(d.removed_at, '-infinity')
    UNION ALL
    SELECT c.peer_address, c.peer_asn, c.peer_bgp_id, c.afi, c.path_id
    FROM adj_rib_in c
    WHERE c.router_id = $1 AND c.table_name = $2 AND c.is_post_policy = $3 AND c.updated_at <= $4
      AND (SELECT b.kind IN ('unknown', 'blind') FROM base b)
    UNION ALL
    SELECT NULL, NULL, NULL, 0::smallint, 0::bigint
)
SELECT h.peer_address, h.peer_asn, h.peer_bgp_id, h.afi, bool_or(h.path_id <> 0) AS has_path_ids, v.is_complete
FROM had h, verdict v
GROUP BY h.peer_address, h.peer_asn, h.peer_bgp_id, h.afi, v.is_complete
ORDER BY h.peer_address, h.peer_asn, h.peer_bgp_id, h.afi
