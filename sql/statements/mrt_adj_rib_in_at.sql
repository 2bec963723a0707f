-- The routes of all peers of the router $1 in the table $2 after ($3) or before policy, by prefix, as they were at $4. The
-- unicast table beside it is $5.
--
-- As routes_as_of reads a Loc-RIB: the last event of a path up to the moment decides, if it came after the last removal of the
-- peer's tables, which names the unicast one. There are no snapshots: a path without an event is as it is now, if it has not
-- been written since.
WITH base AS MATERIALIZED (
    SELECT b.kind, b.events_from FROM history_base($1, '', $4::timestamptz) AS b
), removals AS MATERIALIZED (
    SELECT s.peer_address, max(s.event_time) AS removed_at
    FROM session_events s
    WHERE s.router_id = $1 AND s.peer_address IS NOT NULL AND s.table_name IN ($2, $5)
      AND s.kind IN ('peer_down', 'terminated', 'stale_expired') AND s.event_time <= $4
    GROUP BY s.peer_address
), told AS MATERIALIZED (
    SELECT DISTINCT ON (e.peer_address, e.afi, e.prefix, COALESCE(e.path_id, 0))
           e.peer_address, e.peer_asn, e.peer_bgp_id, e.afi, e.prefix, COALESCE(e.path_id, 0) AS path_id, e.ingest_time, e.action,
           e.nexthop, e.as_path, e.origin, e.localpref, e.med, e.communities_std, e.communities_ext, e.communities_large, e.attrs
    FROM route_events e
    LEFT JOIN removals r ON r.peer_address = e.peer_address
    WHERE e.router_id = $1 AND e.table_name = $2 AND e.afi IN (4, 6) AND e.rib = 'adj-rib-in' AND e.is_post_policy = $3
      AND e.ingest_time > (SELECT b.events_from FROM base b) AND e.ingest_time <= $4
      AND e.ingest_time > COALESCE(r.removed_at, '-infinity')
    ORDER BY e.peer_address, e.afi, e.prefix, COALESCE(e.path_id, 0), e.ingest_time DESC
), routes AS (
    SELECT t.peer_address, t.peer_asn, t.peer_bgp_id, t.afi, t.prefix, t.path_id, t.ingest_time AS time,
           t.nexthop, t.as_path, t.origin, t.localpref, t.med, t.communities_std, t.communities_ext, t.communities_large, t.attrs
    FROM told t
    WHERE t.action = 'A'
    UNION ALL
    SELECT c.peer_address, c.peer_asn, c.peer_bgp_id, c.afi, c.prefix, c.path_id, c.updated_at,
           c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std, c.communities_ext, c.communities_large, c.attrs
    FROM adj_rib_in c
    WHERE c.router_id = $1 AND c.table_name = $2 AND c.is_post_policy = $3 AND c.updated_at <= $4
      AND (SELECT b.kind IN ('unknown', 'blind') FROM base b)
      AND NOT EXISTS (SELECT FROM told t
                      WHERE t.peer_address = c.peer_address AND t.afi = c.afi AND t.prefix = c.prefix AND t.path_id = c.path_id)
)
SELECT r.peer_address, r.peer_asn, r.peer_bgp_id,
       r.afi, host(r.prefix)::inet AS network, masklen(r.prefix) AS length, r.path_id, r.time,
       r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std, r.communities_ext, r.communities_large, r.attrs
FROM routes r
ORDER BY r.afi, r.prefix, r.peer_address, r.path_id
