-- Every session with what its router says of it, and with what was observed before.
WITH live AS (
    SELECT s.router_id, max(s.began_at) AS began_at
    FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.state IN ('dumping', 'up') AND c.alive_until > now()
    GROUP BY s.router_id
), peers_of AS (
    SELECT session_uuid, count(*) FILTER (WHERE is_own) AS peers, count(*) FILTER (WHERE is_own AND is_up) AS up,
           count(*) FILTER (WHERE is_own AND NOT is_reported) AS unreported,
           COALESCE(bool_or(fit = 'address' AND is_up), false) AS is_up_by_address,
           bool_or(fit = 'ambiguous') AS is_ambiguous,
           max(peer_asn) FILTER (WHERE fit = 'wrong_asn') AS other_asn,
           max(since) FILTER (WHERE is_own AND is_up) AS up_since,
           max(since) FILTER (WHERE is_own AND NOT is_up AND is_reported) AS down_since,
           (array_agg(COALESCE(last_reason, 'no reason was reported') ORDER BY since DESC) FILTER (WHERE is_own AND NOT is_up AND is_reported))[1] AS reason,
           COALESCE(sum(flap_count) FILTER (WHERE is_own), 0)::BIGINT AS flaps,
           array_agg(peer_address) FILTER (WHERE is_own) AS addresses
    FROM (SELECT *, fit IN ('address', 'asn') AS is_own FROM registry.session_peers) p
    GROUP BY session_uuid
)
SELECT s.uuid::TEXT, s.status, (extract(epoch FROM s.updated_at) * 1000000)::BIGINT, s.asn, r.uuid::TEXT, r.name, b.router_id, b.problem, s.last_error,
       (extract(epoch FROM l.began_at) * 1000000)::BIGINT,
       -- What the evaluator of watches has found: the first dumps of this BMP session are over.
       CASE WHEN v.known AND v.since >= l.began_at THEN (extract(epoch FROM v.since) * 1000000)::BIGINT END,
       COALESCE(p.peers, 0), COALESCE(p.up, 0), COALESCE(p.unreported, 0), COALESCE(p.is_up_by_address, false), COALESCE(p.is_ambiguous, false), p.other_asn,
       (extract(epoch FROM p.up_since) * 1000000)::BIGINT, (extract(epoch FROM p.down_since) * 1000000)::BIGINT, p.reason, COALESCE(p.flaps, 0), c.routes,
       o.session_uuid IS NOT NULL, o.verdict, (extract(epoch FROM o.since) * 1000000)::BIGINT, o.peers_up, o.peers_expected, o.flaps, o.routes_received,
       o.reason, (extract(epoch FROM o.changed_at) * 1000000)::BIGINT, (extract(epoch FROM o.row_updated_at) * 1000000)::BIGINT, o.is_own,
       ARRAY(SELECT (extract(epoch FROM at) * 1000000)::BIGINT FROM unnest(o.written_at) AS at)
FROM registry.bgp_sessions s
JOIN registry.routers r ON r.uuid = s.router
JOIN registry.router_bindings b ON b.router = s.router
LEFT JOIN live l ON l.router_id = b.router_id
LEFT JOIN watch.vantages v ON v.router_id = b.router_id AND v.table_name = '' AND v.rib = 'router'
LEFT JOIN peers_of p ON p.session_uuid = s.uuid
LEFT JOIN registry.session_observations o ON o.session_uuid = s.uuid
LEFT JOIN LATERAL (
    SELECT COALESCE(sum(n.routes) FILTER (WHERE NOT n.is_post_policy), sum(n.routes))::BIGINT AS routes
    FROM route_counts n WHERE n.router_id = b.router_id AND n.rib = 'adj-rib-in' AND n.peer_address = ANY (p.addresses)
) c ON p.peers > 0
