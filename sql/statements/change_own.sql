-- Own routes of routers ($1), at most $2: the prefixes of watches, and what the router's own AS originates (an empty path is
-- of the router itself). In the Loc-RIB where it is stored, else in the Adj-RIBs-In after policy, else before it.
WITH watched AS (
    SELECT DISTINCT prefix FROM watch.watches WHERE enabled AND prefix IS NOT NULL
), views AS (
    SELECT r.router_id, r.as_number,
           EXISTS (SELECT FROM rib_sync_status s WHERE s.router_id = r.router_id) AS has_loc_rib,
           EXISTS (SELECT FROM adj_rib_in_sync_status s WHERE s.router_id = r.router_id AND s.is_post_policy) AS has_post
    FROM routers r
    WHERE r.router_id = ANY ($1::text[])
), routes AS (
    SELECT c.router_id, c.table_name, c.afi, c.prefix,
           ROW(c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std, c.communities_ext, c.communities_large, c.attrs)::route_path AS path
    FROM views v
    JOIN current_routes c ON c.router_id = v.router_id
    WHERE v.has_loc_rib AND (c.origin_asn = v.as_number OR c.as_path = '' OR c.prefix IN (SELECT prefix FROM watched))
    UNION ALL
    SELECT c.router_id, c.table_name, c.afi, c.prefix,
           ROW(c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std, c.communities_ext, c.communities_large, c.attrs)::route_path
    FROM views v
    JOIN adj_rib_in c ON c.router_id = v.router_id AND c.is_post_policy = v.has_post
    WHERE NOT v.has_loc_rib AND (c.origin_asn = v.as_number OR c.as_path = '' OR c.prefix IN (SELECT prefix FROM watched))
)
SELECT router_id, table_name, afi, prefix::text AS prefix, path_set_json(array_agg(path))::text AS paths
FROM routes
GROUP BY router_id, table_name, afi, prefix
ORDER BY router_id, table_name, afi, routes.prefix
LIMIT $2
