-- Compares the kept numbers of routes with the routes and corrects those that differ: of these routers, or of all where
-- $1 is NULL. Returns the tables and by how much.
--
-- Routes and numbers are read as of one moment, and writers change both in one transaction: so a difference is none of
-- theirs. It is added to the number as it is now, which may have changed since. Rows of other families are locked last,
-- as writers do it: their INSERT waits for the other one, since it reads its result.
WITH stored AS (
    SELECT router_id, 'loc-rib' AS rib, inet '0.0.0.0' AS peer_address, false AS is_post_policy, table_name, afi, count(*) AS routes
    FROM current_routes WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id, table_name, afi
    UNION ALL
    SELECT router_id, 'adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*)
    FROM adj_rib_in WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id, peer_address, is_post_policy, table_name, afi
    UNION ALL
    SELECT router_id, 'adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*)
    FROM adj_rib_out WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id, peer_address, is_post_policy, table_name, afi
    UNION ALL
    SELECT router_id, 'nlri-loc-rib', '0.0.0.0', false, table_name, afi, count(*)
    FROM nlri_loc_rib WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id, table_name, afi
    UNION ALL
    SELECT router_id, 'nlri-adj-rib-in', peer_address, is_post_policy, table_name, afi, count(*)
    FROM nlri_adj_rib_in WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id, peer_address, is_post_policy, table_name, afi
    UNION ALL
    SELECT router_id, 'nlri-adj-rib-out', peer_address, is_post_policy, table_name, afi, count(*)
    FROM nlri_adj_rib_out WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    GROUP BY router_id, peer_address, is_post_policy, table_name, afi
), kept AS (
    SELECT * FROM route_counts WHERE $1::text[] IS NULL OR router_id = ANY ($1)
    UNION ALL
    SELECT * FROM nlri_route_counts WHERE $1::text[] IS NULL OR router_id = ANY ($1)
), differing AS (
    SELECT router_id, rib, peer_address, is_post_policy, table_name, afi,
           COALESCE(s.routes, 0) - COALESCE(k.routes, 0) AS difference
    FROM stored s FULL JOIN kept k USING (router_id, rib, peer_address, is_post_policy, table_name, afi)
    WHERE COALESCE(s.routes, 0) <> COALESCE(k.routes, 0)
), corrected AS (
    INSERT INTO route_counts AS c (router_id, rib, peer_address, is_post_policy, table_name, afi, routes)
    SELECT router_id, rib, peer_address, is_post_policy, table_name, afi, difference FROM differing
    WHERE rib NOT LIKE 'nlri-%'
    ORDER BY router_id, rib, peer_address, is_post_policy, table_name, afi
    ON CONFLICT (router_id, rib, peer_address, is_post_policy, table_name, afi) DO UPDATE SET routes = c.routes + EXCLUDED.routes
    RETURNING 1
), corrected_nlri AS (
    INSERT INTO nlri_route_counts AS c (router_id, rib, peer_address, is_post_policy, table_name, afi, routes)
    SELECT router_id, rib, peer_address, is_post_policy, table_name, afi, difference FROM differing
    WHERE rib LIKE 'nlri-%' AND (SELECT count(*) FROM corrected) >= 0
    ORDER BY router_id, rib, peer_address, is_post_policy, table_name, afi
    ON CONFLICT (router_id, rib, peer_address, is_post_policy, table_name, afi) DO UPDATE SET routes = c.routes + EXCLUDED.routes
)
SELECT router_id, rib, NULLIF(host(peer_address), '0.0.0.0') AS peer_address, table_name, afi, difference
FROM differing
ORDER BY abs(difference) DESC, router_id, rib, peer_address, is_post_policy, table_name, afi
