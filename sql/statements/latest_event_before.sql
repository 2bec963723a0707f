-- The time of a router's latest event from $2 on and before $3. For each table, it is the first entry of a day's churn
-- index.
SELECT max(latest.ingest_time)
FROM (
    SELECT router_id, table_name, afi FROM rib_sync_status WHERE router_id = $1
    UNION SELECT router_id, table_name, afi FROM adj_rib_in_sync_status WHERE router_id = $1
    UNION SELECT router_id, table_name, afi FROM adj_rib_out_sync_status WHERE router_id = $1
    UNION SELECT $1, table_name, afi FROM unnest($4::text[], $5::smallint[]) AS t (table_name, afi)
) AS s
CROSS JOIN LATERAL (
    SELECT e.ingest_time FROM route_events e
    WHERE e.router_id = s.router_id AND e.table_name = s.table_name AND e.afi = s.afi
      AND e.ingest_time >= $2 AND e.ingest_time < $3
    ORDER BY e.ingest_time DESC
    LIMIT 1
) AS latest
