-- The families of a Loc-RIB table as it was at $3, whether any of their routes has a path identifier, and whether the
-- history tells all of the table.
SELECT r.afi, bool_or(r.path_id <> 0) AS has_path_ids, history_is_complete($1, $2, $3) AS is_complete
FROM (SELECT 0::smallint AS afi, 0::bigint AS path_id
      UNION ALL SELECT a.afi, a.path_id FROM routes_as_of($1, $2, $3) AS a) AS r
GROUP BY r.afi
