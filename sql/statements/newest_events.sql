-- The newest event of each key of router $1 that has one in the last $2 seconds, each table through the day's churn
-- index. A path identifier that is NULL counts as 0, as in the routes.
SELECT DISTINCT ON (e.rib, e.peer_address, e.is_post_policy, e.table_name, e.afi, e.prefix, COALESCE(e.path_id, 0))
       e.rib, e.peer_address, e.is_post_policy, e.table_name, e.afi, e.action, e.ingest_time, e.received_at,
       e.router_time, e.prefix, COALESCE(e.path_id, 0) AS path_id, e.nexthop, e.as_path, e.origin, e.localpref, e.med,
       e.origin_asn, e.communities_std, e.communities_ext, e.communities_large, e.attrs
FROM (
    SELECT e.*
    FROM (
        SELECT router_id, table_name, afi FROM rib_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM adj_rib_in_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM adj_rib_out_sync_status WHERE router_id = $1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT n.rib, n.peer_address, n.is_post_policy, n.table_name, n.afi, n.action, n.ingest_time, n.received_at,
               n.router_time, n.prefix, n.path_id, n.nexthop, n.as_path, n.origin, n.localpref, n.med, n.origin_asn,
               n.communities_std, n.communities_ext, n.communities_large, n.attrs
        FROM route_events n
        WHERE n.router_id = s.router_id AND n.table_name = s.table_name AND n.afi = s.afi
          AND n.ingest_time >= now() - make_interval(secs => $2)
    ) AS e
    UNION ALL
    SELECT e.*
    FROM (
        SELECT router_id, table_name, afi FROM nlri_loc_rib_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM nlri_adj_rib_in_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM nlri_adj_rib_out_sync_status WHERE router_id = $1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT n.rib, n.peer_address, n.is_post_policy, n.table_name, n.afi, n.action, n.ingest_time, n.received_at,
               n.router_time, n.prefix, n.path_id, n.nexthop, n.as_path, n.origin, n.localpref, n.med, n.origin_asn,
               n.communities_std, n.communities_ext, n.communities_large, n.attrs
        FROM nlri_route_events n
        WHERE n.router_id = s.router_id AND n.table_name = s.table_name AND n.afi = s.afi
          AND n.ingest_time >= now() - make_interval(secs => $2)
    ) AS e
) AS e
ORDER BY e.rib, e.peer_address, e.is_post_policy, e.table_name, e.afi, e.prefix, COALESCE(e.path_id, 0),
         e.ingest_time DESC
