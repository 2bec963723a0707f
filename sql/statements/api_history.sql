-- At most $7 events of the prefix $2 after the key $6 as JSON, the latest first: of the routers $1, from $3 to $4, of the
-- table $5 where it is not NULL. Each table is one range of the index of its history: a scan of route_events as a whole
-- would read days of it.
SELECT row_to_json(line)::text AS json, json_build_array(line.ingest_time, line.event_id)::text AS key
FROM (
    SELECT encode(e.event_id, 'hex') AS event_id, e.ingest_time, e.router_id, e.table_name, e.afi, e.prefix, e.path_id,
           e.action, e.nexthop, e.as_path, e.origin, e.localpref, e.med, e.origin_asn, e.communities_std, e.communities_ext,
           e.communities_large, e.attrs, e.received_at, e.router_time, e.peer_address, e.peer_asn, e.peer_bgp_id,
           e.is_post_policy, COALESCE(e.rib, 'loc-rib') AS rib
    FROM (SELECT t.router_id, t.table_name FROM rib_sync_status t
          UNION SELECT t.router_id, t.table_name FROM adj_rib_in_sync_status t
          UNION SELECT t.router_id, t.table_name FROM adj_rib_out_sync_status t
          UNION SELECT h.router_id, h.table_name FROM history_tables($3::text::timestamptz) h) AS t
    CROSS JOIN LATERAL (
        SELECT e.*
        FROM route_events e
        WHERE e.router_id = t.router_id AND e.table_name = t.table_name AND e.afi = family($2::text::inet)::smallint
          AND e.prefix = $2::text::cidr
          AND e.ingest_time >= $3::text::timestamptz AND e.ingest_time <= $4::text::timestamptz
          AND ($6::text IS NULL
               OR e.ingest_time <= ($6::jsonb ->> 0)::timestamptz
                  AND (e.ingest_time, e.event_id) < (($6::jsonb ->> 0)::timestamptz, decode($6::jsonb ->> 1, 'hex')))
        ORDER BY e.ingest_time DESC, e.event_id DESC
        LIMIT $7
    ) AS e
    WHERE t.router_id = ANY ($1::text[]) AND ($5::text IS NULL OR t.table_name = $5)
    ORDER BY e.ingest_time DESC, e.event_id DESC
    LIMIT $7
) AS line
