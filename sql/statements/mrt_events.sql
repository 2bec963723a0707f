-- The events of the tables $2 of the router $1 from $3 up to $4, of the Loc-RIB ($5 NULL) or of the Adj-RIB-In after or
-- before policy ($5), in the order in which they were written; among them the peers that came up (U) or went down (N). A
-- session event names no AS: it is that of the peer at this address.
SELECT e.table_name, e.ingest_time AS at, COALESCE(e.received_at, e.ingest_time) AS time, e.action::text AS action,
       e.peer_address, e.peer_asn, e.peer_bgp_id,
       e.afi, host(e.prefix)::inet AS network, masklen(e.prefix) AS length, e.path_id,
       e.nexthop, e.as_path, e.origin, e.localpref, e.med, e.communities_std, e.communities_ext, e.communities_large, e.attrs
FROM route_events e
WHERE e.router_id = $1 AND e.table_name = ANY ($2::text[]) AND e.ingest_time >= $3 AND e.ingest_time < $4
  AND COALESCE(e.rib, 'loc-rib') = CASE WHEN $5::boolean IS NULL THEN 'loc-rib' ELSE 'adj-rib-in' END
  AND e.is_post_policy IS NOT DISTINCT FROM $5::boolean
UNION ALL
SELECT NULL, s.event_time, s.event_time, CASE s.kind WHEN 'peer_up' THEN 'U' ELSE 'N' END,
       s.peer_address, p.peer_asn, p.peer_bgp_id,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM session_events s
LEFT JOIN LATERAL (SELECT p.peer_asn, p.peer_bgp_id FROM peers p
                   WHERE p.router_id = s.router_id AND p.peer_address = s.peer_address
                   ORDER BY p.updated_at DESC LIMIT 1) AS p ON true
WHERE s.router_id = $1 AND s.kind IN ('peer_up', 'peer_down') AND s.event_time >= $3 AND s.event_time < $4
  AND (s.peer_address IS NULL) = ($5::boolean IS NULL) AND (s.table_name IS NULL OR s.table_name = ANY ($2::text[]))
ORDER BY at
