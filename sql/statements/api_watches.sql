-- At most $4 watches as JSON, by number, after the key $3: of the kinds $1 and the team of the caller's token $2, where these
-- are not NULL.
SELECT row_to_json(line)::text AS json, json_build_array(line.id)::text AS key
FROM (
    SELECT w.id, w.team, w.name, w.kind, w.prefix, w.address, w.asn, w.router_id, w.table_name, w.peer_address, w.expected_origins,
           w.expected_upstreams, w.expected_downstreams, w.expected_via, w.path_match, w.max_length, w.min_routes, w.max_routes,
           w.drop_percent, w.rise_percent, w.min_up, w.min_vantages, w.conditions, w.severity, w.runbook_url, w.source, w.enabled,
           w.note, w.accepted_at, w.created_at, w.updated_at,
           (SELECT count(*) FROM watch.conditions c WHERE c.watch_id = w.id) AS holding,
           (SELECT count(*) FROM watch.incidents i WHERE i.watch_id = w.id AND i.state <> 'closed') AS incidents
    FROM watch.watches w
    WHERE ($1::text[] IS NULL OR w.kind = ANY ($1))
      AND ($2::text IS NULL OR w.team = $2)
      AND ($3::text IS NULL OR w.id > ($3::jsonb ->> 0)::bigint)
    ORDER BY w.id
    LIMIT $4
) AS line
