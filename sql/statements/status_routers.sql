-- The routers, whether they are connected, their tables of all RIBs and families, and how many routes they have: all
-- routers, or some ($1), at most $2 of them. A router without Loc-RIB routes counts those of its Adj-RIBs-In, once: after
-- policy where a table has that view, else before policy.
WITH tables AS (
    SELECT router_id, sum(tables)::bigint AS tables, sum(synchronized)::bigint AS synchronized, max(last_message) AS last_message
    FROM (SELECT router_id, count(*) AS tables, count(synced_at) AS synchronized,
                 max(GREATEST(last_parsed_msg_time, last_raw_msg_time)) AS last_message
          FROM rib_sync_status WHERE $1::text[] IS NULL OR router_id = ANY ($1) GROUP BY router_id
          UNION ALL
          SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
          FROM adj_rib_in_sync_status WHERE $1::text[] IS NULL OR router_id = ANY ($1) GROUP BY router_id
          UNION ALL
          SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
          FROM adj_rib_out_sync_status WHERE $1::text[] IS NULL OR router_id = ANY ($1) GROUP BY router_id
          UNION ALL
          SELECT router_id, count(*), count(synced_at), max(GREATEST(last_parsed_msg_time, last_raw_msg_time))
          FROM nlri_tables WHERE $1::text[] IS NULL OR router_id = ANY ($1) GROUP BY router_id) AS each_rib
    GROUP BY router_id
), counted AS (
    SELECT router_id, COALESCE(sum(routes) FILTER (WHERE rib = 'loc-rib'), 0)::bigint AS loc_rib,
           COALESCE(sum(routes) FILTER (WHERE rib = 'adj-rib-in'), 0)::bigint AS adj_rib_in
    FROM (SELECT router_id, rib, routes,
                 is_post_policy = bool_or(is_post_policy) OVER (PARTITION BY router_id, rib, peer_address, table_name, afi) AS is_counted
          FROM route_counts
          WHERE rib <> 'adj-rib-out' AND ($1::text[] IS NULL OR router_id = ANY ($1))) AS each_view
    WHERE is_counted
    GROUP BY router_id
), counted_nlri AS (
    SELECT router_id, GREATEST(sum(routes), 0)::bigint AS routes
    FROM nlri_route_counts WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id
)
SELECT r.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen,
       v.collector_id, v.state, v.since, v.session_collector, v.source, v.reason, v.stale_since, v.expires_at,
       (SELECT string_agg(DISTINCT b.collector_id || CASE WHEN b.lag_secs >= 1 THEN format(' (%s s behind)', round(b.lag_secs)) ELSE '' END, ', ')
        FROM bmp_sessions b JOIN collectors bc ON bc.collector_id = b.collector_id
        WHERE b.router_id = r.router_id AND b.state = 'standby' AND bc.alive_until > now()) AS standby,
       COALESCE(t.tables, 0) AS tables, COALESCE(t.synchronized, 0) AS synchronized, t.last_message,
       CASE WHEN c.loc_rib > 0 THEN c.loc_rib ELSE GREATEST(c.adj_rib_in, 0) END AS routes,
       COALESCE(c.loc_rib <= 0 AND c.adj_rib_in > 0, false) AS is_adj_rib_in,
       COALESCE(n.routes, 0) AS nlri_routes
FROM routers r
JOIN router_states v USING (router_id)
LEFT JOIN tables t USING (router_id)
LEFT JOIN counted c USING (router_id)
LEFT JOIN counted_nlri n USING (router_id)
WHERE $1::text[] IS NULL OR r.router_id = ANY ($1)
ORDER BY r.router_id
LIMIT $2::bigint
