-- The latest events of one prefix on every table that may have it, each through the index of its history: a scan of
-- route_events as a whole would read days of it.
SELECT e.*, (SELECT r.hostname FROM routers r WHERE r.router_id = e.router_id) AS hostname
FROM (
    SELECT t.router_id, t.table_name, e.*
    FROM (SELECT router_id, table_name FROM rib_sync_status WHERE afi = $1
          UNION SELECT router_id, table_name FROM adj_rib_in_sync_status WHERE afi = $1
          UNION SELECT router_id, table_name FROM adj_rib_out_sync_status WHERE afi = $1
          ORDER BY router_id, table_name LIMIT 2000) AS t
    CROSS JOIN LATERAL (
        SELECT e.ingest_time, e.path_id, e.action::text AS action, host(e.nexthop) AS nexthop, e.as_path, e.localpref, e.med,
               e.attrs ->> 'reason' AS reason, e.peer_address,
               CASE WHEN e.peer_address IS NULL THEN 'loc-rib'
                    ELSE e.rib || CASE WHEN e.is_post_policy THEN '-post' ELSE '-pre' END END AS view
        FROM route_events e
        WHERE e.router_id = t.router_id AND e.table_name = t.table_name AND e.afi = $1 AND e.prefix = $2::text::cidr
          AND e.ingest_time > now() - $3 * interval '1 hour'
        ORDER BY e.ingest_time DESC
        LIMIT $5
    ) AS e
    ORDER BY e.ingest_time DESC
    LIMIT $4
) AS e
ORDER BY e.ingest_time DESC
