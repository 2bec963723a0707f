-- The families of a Loc-RIB table, and whether any of their routes has a path identifier.
SELECT afi, bool_or(path_id <> 0) AS has_path_ids
FROM current_routes
WHERE router_id = $1 AND table_name = $2
GROUP BY afi
