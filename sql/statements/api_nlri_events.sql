-- At most $12 events of other families as JSON, the latest first, after the key $11: of the routers $1, from $9 to $10.
-- The conditions $2 to $8 are those of api_nlri_routes.sql.
SELECT row_to_json(line)::text AS json, json_build_array(line.ingest_time, line.event_id)::text AS key
FROM (
    SELECT encode(e.event_id, 'hex') AS event_id, e.ingest_time, e.router_id, e.view, e.peer_address, e.peer_asn,
           e.peer_bgp_id, e.is_post_policy, e.table_name, e.afi, e.safi, e.nlri_key, e.path_id, e.action, e.nlri, e.nexthop,
           e.as_path, e.origin, e.localpref, e.med, e.origin_asn, e.communities_std, e.communities_ext,
           e.communities_large, e.attrs, e.received_at, e.router_time
    FROM (
        SELECT n.rib || CASE WHEN n.is_post_policy THEN '-post' WHEN NOT n.is_post_policy THEN '-pre' ELSE '' END AS view, n.*
        FROM nlri_events n
    ) AS e
    WHERE e.router_id = ANY ($1::text[])
      AND ($2::text IS NULL OR e.view = $2)
      AND ($3::text IS NULL OR e.table_name = $3)
      AND ($4::text[] IS NULL OR e.peer_address = ANY ($4::text[]::inet[]))
      AND ($5::text IS NULL OR split_part(e.nlri_key, ':', 1) = $5)
      AND ($6::text IS NULL OR e.nlri ->> 'type' = $6)
      AND ($7::text IS NULL OR e.nlri_key = $7)
      AND ($8::text IS NULL OR strpos(e.nlri_key, $8) > 0)
      AND e.ingest_time >= $9::text::timestamptz AND e.ingest_time <= $10::text::timestamptz
      AND ($11::text IS NULL
           OR e.ingest_time <= ($11::jsonb ->> 0)::timestamptz
              AND (e.ingest_time, e.event_id) < (($11::jsonb ->> 0)::timestamptz, decode($11::jsonb ->> 1, 'hex')))
    ORDER BY e.ingest_time DESC, e.event_id DESC
    LIMIT $12
) AS line
