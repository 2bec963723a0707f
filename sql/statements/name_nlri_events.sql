-- Gives staged withdrawals the NLRI that they withdraw: a session remembers no more of it than its hash.
--
-- The row of the route has it, since routes are removed after their events are stored; before that route is stored, an
-- announcement of the same batch has it; after it is removed, an earlier event.
UPDATE staged_nlri_events s
SET attrs = COALESCE(s.attrs, '{}')
    || jsonb_build_object('nlri_afi', substring(s.table_name FROM '\|nlri:(\d+)/\d+$')::integer,
                          'nlri_safi', substring(s.table_name FROM '\|nlri:\d+/(\d+)$')::integer)
    || COALESCE((
        SELECT jsonb_build_object('nlri', f.attrs -> 'nlri', 'nlri_key', f.attrs -> 'nlri_key')
        FROM (
            (SELECT a.attrs FROM staged_nlri_events a
             WHERE a.router_id = s.router_id AND a.prefix = s.prefix AND a.action = 'A'
             LIMIT 1)
            UNION ALL
            (SELECT r.attrs FROM nlri_loc_rib r
             WHERE s.rib = 'nlri-loc-rib'
               AND r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi AND r.prefix = s.prefix
             LIMIT 1)
            UNION ALL
            (SELECT r.attrs FROM nlri_adj_rib_in r
             WHERE s.rib = 'nlri-adj-rib-in'
               AND r.router_id = s.router_id AND r.peer_address = s.peer_address
               AND r.is_post_policy = s.is_post_policy AND r.table_name = s.table_name AND r.afi = s.afi
               AND r.prefix = s.prefix
             LIMIT 1)
            UNION ALL
            (SELECT r.attrs FROM nlri_adj_rib_out r
             WHERE s.rib = 'nlri-adj-rib-out'
               AND r.router_id = s.router_id AND r.peer_address = s.peer_address
               AND r.is_post_policy = s.is_post_policy AND r.table_name = s.table_name AND r.afi = s.afi
               AND r.prefix = s.prefix
             LIMIT 1)
            UNION ALL
            (SELECT e.attrs FROM nlri_route_events e
             WHERE e.router_id = s.router_id AND e.table_name = s.table_name AND e.afi = s.afi AND e.prefix = s.prefix
             ORDER BY e.ingest_time DESC
             LIMIT 1)
        ) AS f
        WHERE f.attrs ? 'nlri_key'
        LIMIT 1), '{}')
WHERE s.action = 'D'
