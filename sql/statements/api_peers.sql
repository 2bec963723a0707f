-- At most $6 peers after the key $5 as JSON: of the routers $1, in the ASes $2, in the state $3, with the addresses $4,
-- where these are not NULL. Routes are those of every peer at the address.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.peer_type, line.distinguisher, line.peer_address, line.peer_asn)::text AS key
FROM (
    SELECT p.router_id, (SELECT r.hostname FROM routers r WHERE r.router_id = p.router_id) AS hostname, p.peer_type,
           p.distinguisher, p.peer_address, p.peer_asn, p.peer_bgp_id, p.local_address, p.hold_time, p.description, p.state,
           p.since, p.last_reason, p.flap_count, p.first_seen, p.updated_at, c.pre_policy_routes, c.post_policy_routes,
           c.sent_routes,
           (SELECT min(w.max_routes) FROM watch.watches w
            WHERE w.kind = 'peer_routes' AND w.enabled AND (w.router_id IS NULL OR w.router_id = p.router_id)
              AND (w.peer_address = p.peer_address OR w.peer_address IS NULL AND w.asn = p.peer_asn)) AS max_routes
    FROM (SELECT *
          FROM peers p
          WHERE ($1::text[] IS NULL OR p.router_id = ANY ($1))
            AND ($2::bigint[] IS NULL OR p.peer_asn = ANY ($2))
            AND ($3::text IS NULL OR p.state = $3)
            AND ($4::text[] IS NULL OR p.peer_address = ANY ($4::text[]::inet[]))
            AND ($5::text IS NULL
                 OR (p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn)
                  > ($5::jsonb ->> 0, $5::jsonb ->> 1, $5::jsonb ->> 2, ($5::jsonb ->> 3)::inet, ($5::jsonb ->> 4)::bigint))
          ORDER BY p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn
          LIMIT $6) AS p
    CROSS JOIN LATERAL (
        SELECT GREATEST(COALESCE(sum(n.routes) FILTER (WHERE n.rib = 'adj-rib-in' AND NOT n.is_post_policy), 0), 0)::bigint AS pre_policy_routes,
               GREATEST(COALESCE(sum(n.routes) FILTER (WHERE n.rib = 'adj-rib-in' AND n.is_post_policy), 0), 0)::bigint AS post_policy_routes,
               GREATEST(COALESCE(sum(n.routes) FILTER (WHERE n.rib = 'adj-rib-out' AND n.is_post_policy), 0), 0)::bigint AS sent_routes
        FROM route_counts n
        WHERE n.router_id = p.router_id AND n.rib IN ('adj-rib-in', 'adj-rib-out') AND n.peer_address = p.peer_address) AS c
    ORDER BY p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn
) AS line
