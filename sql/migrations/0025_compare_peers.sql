-- What is different between two routers that send no Loc-RIB: between their Adj-RIBs-In, peer by peer.

-- As routes_diff. Two route servers have the same peers; what a peer announces to one of them only is a difference.
CREATE FUNCTION adj_rib_in_diff(router_a TEXT, router_b TEXT, post_policy BOOLEAN, ignored TEXT[] DEFAULT '{}', inside CIDR DEFAULT NULL)
RETURNS TABLE (peer_address INET, table_name TEXT, afi SMALLINT, prefix CIDR, difference TEXT, attributes TEXT[], a JSONB, b JSONB)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT COALESCE(a.peer_address, b.peer_address), COALESCE(a.table_name, b.table_name), COALESCE(a.afi, b.afi), COALESCE(a.prefix, b.prefix),
           CASE WHEN b.paths IS NULL THEN 'only_a' WHEN a.paths IS NULL THEN 'only_b' ELSE 'paths' END,
           path_set_attributes(a.paths, b.paths), path_set_json(a.paths), path_set_json(b.paths)
    FROM (SELECT c.peer_address, c.table_name, c.afi, c.prefix,
                 array_agg(compared_path(ignored, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std,
                                         c.communities_ext, c.communities_large, c.attrs)) AS paths
          FROM adj_rib_in c
          WHERE c.router_id = router_a AND c.is_post_policy = post_policy AND (inside IS NULL OR c.prefix <<= inside)
          GROUP BY c.peer_address, c.table_name, c.afi, c.prefix) AS a
    FULL JOIN (SELECT c.peer_address, c.table_name, c.afi, c.prefix,
                 array_agg(compared_path(ignored, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std,
                                         c.communities_ext, c.communities_large, c.attrs)) AS paths
          FROM adj_rib_in c
          WHERE c.router_id = router_b AND c.is_post_policy = post_policy AND (inside IS NULL OR c.prefix <<= inside)
          GROUP BY c.peer_address, c.table_name, c.afi, c.prefix) AS b
        ON b.peer_address = a.peer_address AND b.table_name = a.table_name AND b.afi = a.afi AND b.prefix = a.prefix
    WHERE a.paths IS DISTINCT FROM b.paths
      AND (a.paths IS NULL OR b.paths IS NULL OR path_set(a.paths) IS DISTINCT FROM path_set(b.paths));
END;

COMMENT ON FUNCTION adj_rib_in_diff IS 'Prefixes whose paths differ between what two routers receive from the same peers, after policy or before it: difference is only_a, only_b or paths; attributes are those that differ. ignored and inside as for routes_diff. Whether the tables are complete is in adj_rib_in_sync_status.';
