-- Own routes that were stored before ($1, JSON) and are not as they were: gone, or with other paths. A route is looked for
-- where it was found: in the Loc-RIB where that is stored, else in the Adj-RIBs-In after policy, else before it.
WITH was AS (
    SELECT w.router_id, w.table_name, w.afi, w.prefix,
           (SELECT array_agg(p) FROM jsonb_populate_recordset(NULL::route_path, w.paths) p) AS paths
    FROM jsonb_to_recordset($1::text::jsonb) AS w (router_id TEXT, table_name TEXT, afi SMALLINT, prefix CIDR, paths JSONB)
), views AS (
    SELECT r.router_id,
           EXISTS (SELECT FROM rib_sync_status s WHERE s.router_id = r.router_id) AS has_loc_rib,
           EXISTS (SELECT FROM adj_rib_in_sync_status s WHERE s.router_id = r.router_id AND s.is_post_policy) AS has_post
    FROM (SELECT DISTINCT router_id FROM was) r
), now AS (
    SELECT w.router_id, w.table_name, w.afi, w.prefix, w.paths AS before,
           CASE WHEN v.has_loc_rib THEN (
               SELECT array_agg(ROW(c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std, c.communities_ext,
                                    c.communities_large, c.attrs)::route_path)
               FROM current_routes c
               WHERE c.router_id = w.router_id AND c.table_name = w.table_name AND c.afi = w.afi AND c.prefix = w.prefix)
           ELSE (
               SELECT array_agg(ROW(c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std, c.communities_ext,
                                    c.communities_large, c.attrs)::route_path)
               FROM adj_rib_in c
               WHERE c.router_id = w.router_id AND c.is_post_policy = v.has_post AND c.table_name = w.table_name
                 AND c.afi = w.afi AND c.prefix = w.prefix)
           END AS after
    FROM was w
    JOIN views v USING (router_id)
)
SELECT n.router_id, n.table_name, n.prefix::text AS prefix, n.after IS NULL AS is_gone, path_set_attributes(n.before, n.after) AS attributes
FROM now n
WHERE path_set(n.before) IS DISTINCT FROM path_set(n.after)
ORDER BY n.router_id, n.table_name, n.afi, n.prefix
