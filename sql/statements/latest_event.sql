-- The time of a router's latest event since $2. For each table, it is the first entry of the day's churn index.
SELECT max(latest.ingest_time)
FROM (
    SELECT e.ingest_time
    FROM (
        SELECT router_id, table_name, afi FROM rib_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM adj_rib_in_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM adj_rib_out_sync_status WHERE router_id = $1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT e.ingest_time FROM route_events e
        WHERE e.router_id = s.router_id AND e.table_name = s.table_name AND e.afi = s.afi
          AND e.ingest_time >= to_timestamp($2::double precision)
        ORDER BY e.ingest_time DESC
        LIMIT 1
    ) AS e
    UNION ALL
    SELECT e.ingest_time
    FROM (
        SELECT router_id, table_name, afi FROM nlri_loc_rib_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM nlri_adj_rib_in_sync_status WHERE router_id = $1
        UNION SELECT router_id, table_name, afi FROM nlri_adj_rib_out_sync_status WHERE router_id = $1
    ) AS s
    CROSS JOIN LATERAL (
        SELECT e.ingest_time FROM nlri_route_events e
        WHERE e.router_id = s.router_id AND e.table_name = s.table_name AND e.afi = s.afi
          AND e.ingest_time >= to_timestamp($2::double precision)
        ORDER BY e.ingest_time DESC
        LIMIT 1
    ) AS e
) AS latest
