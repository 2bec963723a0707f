-- The set of VRPs in force and what the latest scan of the routes found, as JSON.
SELECT row_to_json(line)::text AS json
FROM (
    SELECT s.version, rpki.is_usable() AS is_usable, s.source, s.generated, s.fetched_at, s.taken_at, s.valid_until, s.vrps, s.aspas,
           s.slurm_filtered, s.slurm_added, s.last_error, s.failing_since, s.held_since, s.held_until, s.held_reason, s.held_vrps,
           s.scanned_at, c.valid_routes, c.invalid_routes, c.not_found_routes,
           COALESCE((SELECT json_agg(t ORDER BY t.trust_anchor) FROM (SELECT trust_anchor, vrps FROM rpki.trust_anchors) AS t), '[]') AS trust_anchors
    FROM rpki.vrp_set s
    CROSS JOIN (SELECT COALESCE(sum(routes) FILTER (WHERE state = 'valid'), 0)::bigint AS valid_routes,
                       COALESCE(sum(routes) FILTER (WHERE state = 'invalid'), 0)::bigint AS invalid_routes,
                       COALESCE(sum(routes) FILTER (WHERE state = 'not-found'), 0)::bigint AS not_found_routes
                FROM rpki.router_states) AS c
) AS line
