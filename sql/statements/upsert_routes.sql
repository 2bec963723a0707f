-- Writes the staged routes. first_seen is left out on purpose: it keeps its value.
--
-- Keys are unique within a batch, otherwise PostgreSQL fails with 21000, and sorted, which saves a fifth of the time
-- and keeps two writers from locking rows in opposite order.
--
-- xmax is 0 for a new row: it has no older version that anyone could have locked. New rows are counted because the
-- writer expected all of them to be stored.
WITH written AS (
INSERT INTO current_routes (router_id, /*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id, /*adj peer_asn, peer_bgp_id, */nexthop, as_path, origin, localpref, med,
                            origin_asn, communities_std, communities_ext, communities_large, attrs)
SELECT router_id, /*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id, /*adj peer_asn, peer_bgp_id, */nexthop, as_path, origin, localpref, med,
       origin_asn, communities_std, communities_ext, communities_large, attrs
FROM staged_routes
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id) DO UPDATE SET
    /*adj peer_asn = EXCLUDED.peer_asn, peer_bgp_id = EXCLUDED.peer_bgp_id,*/
    nexthop = EXCLUDED.nexthop, as_path = EXCLUDED.as_path, origin = EXCLUDED.origin,
    localpref = EXCLUDED.localpref, med = EXCLUDED.med, origin_asn = EXCLUDED.origin_asn,
    communities_std = EXCLUDED.communities_std, communities_ext = EXCLUDED.communities_ext,
    communities_large = EXCLUDED.communities_large, attrs = EXCLUDED.attrs, updated_at = now()
RETURNING xmax = 0 AS is_new
)
SELECT count(*) AS written, count(*) FILTER (WHERE is_new) AS new FROM written
