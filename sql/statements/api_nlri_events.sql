-- At most $12 events of other families as JSON, the latest first, after the key $11: of the routers $1, from $9 to $10.
-- The conditions $2 to $8 are those of api_nlri_routes.sql.
--
-- Each router's events are read by themselves from the latest on, by the index of router and time or by that of the key, and
-- no further than the page needs. COALESCE keeps the planner from taking a condition for one that hardly an event fits, and
-- so the whole span for the better way.
SELECT row_to_json(line)::text AS json, json_build_array(line.ingest_time, line.event_id)::text AS key
FROM (
    SELECT encode(e.event_id, 'hex') AS event_id, e.ingest_time, e.router_id, e.view, e.peer_address, e.peer_asn,
           e.peer_bgp_id, e.is_post_policy, e.table_name, e.afi, e.safi, e.nlri_key, e.path_id, e.action, e.nlri, e.nexthop,
           e.as_path, e.origin, e.localpref, e.med, e.origin_asn, e.communities_std, e.communities_ext,
           e.communities_large, e.attrs, e.received_at, e.router_time
    FROM (SELECT DISTINCT unnest($1::text[]) AS router_id) AS asked
    CROSS JOIN LATERAL (
        SELECT v.view, n.*
        FROM nlri_events n
        CROSS JOIN LATERAL (
            SELECT n.rib || CASE WHEN n.is_post_policy THEN '-post' WHEN NOT n.is_post_policy THEN '-pre' ELSE '' END AS view
        ) AS v
        -- With a key, the index of router and time is out of reach: statistics that are old would have it walked for the key.
        WHERE CASE WHEN $7::text IS NULL THEN n.router_id ELSE n.router_id || '' END = asked.router_id
          AND ($2::text IS NULL OR COALESCE(v.view = $2, false))
          AND ($3::text IS NULL OR n.table_name = $3)
          AND ($4::text[] IS NULL OR COALESCE(n.peer_address = ANY ($4::text[]::inet[]), false))
          AND ($5::text IS NULL OR COALESCE(split_part(n.nlri_key, ':', 1) = $5, false))
          AND ($6::text IS NULL OR COALESCE(n.nlri ->> 'type' = $6, false))
          AND ($7::text IS NULL OR n.nlri_key = $7)
          AND ($8::text IS NULL OR COALESCE(strpos(n.nlri_key, $8) > 0, false))
          AND n.ingest_time >= $9::text::timestamptz AND n.ingest_time <= $10::text::timestamptz
          AND ($11::text IS NULL
               OR n.ingest_time <= ($11::jsonb ->> 0)::timestamptz
                  AND (n.ingest_time, n.event_id) < (($11::jsonb ->> 0)::timestamptz, decode($11::jsonb ->> 1, 'hex')))
        ORDER BY n.ingest_time DESC, n.event_id DESC
        LIMIT $12
    ) AS e
    ORDER BY e.ingest_time DESC, e.event_id DESC
    LIMIT $12
) AS line
