-- True where the history tells all of the Adj-RIB-In tables of the routers $1 at the moments $3, of the prefix $4: of the
-- table $2 where it is not NULL. NULL where there is no such table.
--
-- As history_is_complete says it of a Loc-RIB, except that there are no snapshots: a table was empty when its peer's routes
-- were removed, or when its peer was first seen. For a name that no table has, history_base says what is true of the
-- whole router.
WITH moments AS MATERIALIZED (
    SELECT r.router_id, m.moment, b.kind, b.events_from,
           (SELECT max(g.event_time) FROM session_events g
            WHERE g.router_id = r.router_id AND g.kind = 'gap' AND g.event_time <= m.moment) AS gap_at,
           EXISTS (SELECT FROM session_events s
                   WHERE s.router_id = r.router_id AND s.kind = 'history_off' AND s.event_time > m.moment) AS is_off_later
    FROM unnest($1::text[]) AS r(router_id)
    CROSS JOIN (SELECT DISTINCT t::timestamptz AS moment FROM unnest($3::text[]) AS t) AS m
    CROSS JOIN LATERAL history_base(r.router_id, '', m.moment) AS b
), told AS MATERIALIZED (
    SELECT m.router_id, m.moment, s.peer_address, s.table_name,
           max(s.event_time) FILTER (WHERE s.kind IN ('peer_down', 'terminated', 'stale_expired') AND s.event_time <= m.moment) AS removed_at,
           bool_or(s.kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped') AND s.event_time > m.moment) AS is_removed_later,
           max(s.event_time) FILTER (WHERE s.kind IN ('end_of_rib', 'eor_timeout') AND s.afi = family($4::text::inet)
                                       AND s.event_time <= m.moment) AS synced_at
    FROM moments m
    JOIN session_events s ON s.router_id = m.router_id
    WHERE s.peer_address IS NOT NULL
      AND s.kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped', 'end_of_rib', 'eor_timeout')
    GROUP BY m.router_id, m.moment, s.peer_address, s.table_name
), tables AS MATERIALIZED (
    -- Removals name the table without the first "|" and the text after it.
    SELECT m.router_id, m.moment, m.kind, m.events_from, m.gap_at, m.is_off_later, t.peer_address, t.is_post_policy, t.table_name,
           t.afi, max(d.removed_at) AS removed_at, COALESCE(bool_or(d.is_removed_later), false) AS is_removed_later,
           max(d.synced_at) AS synced_at,
           (SELECT min(p.first_seen) FROM peers p
            WHERE p.router_id = m.router_id AND p.peer_address = t.peer_address) AS first_seen
    FROM moments m
    JOIN adj_rib_in_sync_status t ON t.router_id = m.router_id
    LEFT JOIN told d
        ON d.router_id = m.router_id AND d.moment = m.moment AND d.peer_address = t.peer_address
           AND d.table_name IN (t.table_name, split_part(t.table_name, '|', 1))
    WHERE t.afi = family($4::text::inet) AND ($2::text IS NULL OR t.table_name = $2)
    GROUP BY m.router_id, m.moment, m.kind, m.events_from, m.gap_at, m.is_off_later, t.peer_address, t.is_post_policy,
             t.table_name, t.afi
), based AS (
    SELECT t.*,
           GREATEST(CASE WHEN t.removed_at > t.events_from THEN t.removed_at END,
                    CASE WHEN t.first_seen >= t.events_from THEN t.first_seen END,
                    CASE WHEN t.kind = 'empty' THEN t.events_from END) AS empty_at
    FROM tables t
)
SELECT bool_and(CASE
           WHEN t.kind = 'blind' THEN false
           WHEN t.gap_at >= COALESCE(t.empty_at, '-infinity') AND COALESCE(t.synced_at, '-infinity') <= t.gap_at THEN false
           WHEN t.empty_at IS NOT NULL THEN true
           WHEN t.is_removed_later OR t.is_off_later THEN false
           -- A path that has not changed since the moment is as it is now.
           ELSE NOT EXISTS (
               SELECT FROM route_events e
               WHERE e.router_id = t.router_id AND e.table_name = t.table_name AND e.afi = t.afi AND e.prefix = $4::text::cidr
                 AND e.ingest_time > t.moment AND e.rib = 'adj-rib-in' AND e.peer_address = t.peer_address
                 AND e.is_post_policy = t.is_post_policy
                 AND NOT EXISTS (SELECT FROM route_events b
                                 WHERE b.router_id = t.router_id AND b.table_name = t.table_name AND b.afi = t.afi
                                   AND b.prefix = $4::text::cidr AND b.ingest_time > t.events_from AND b.ingest_time <= t.moment
                                   AND b.rib = 'adj-rib-in' AND b.peer_address = t.peer_address
                                   AND b.is_post_policy = t.is_post_policy
                                   AND COALESCE(b.path_id, 0) = COALESCE(e.path_id, 0))
                 AND NOT EXISTS (SELECT FROM adj_rib_in c
                                 WHERE c.router_id = t.router_id AND c.peer_address = t.peer_address
                                   AND c.is_post_policy = t.is_post_policy AND c.table_name = t.table_name AND c.afi = t.afi
                                   AND c.prefix = $4::text::cidr AND c.path_id = COALESCE(e.path_id, 0)
                                   AND c.updated_at <= t.moment))
       END) AS complete
FROM based t
