-- Deletes the next $7 routes of a router ($2: of one of its tables) behind the key $3 to $6, in key order, and tells how
-- many those were and which was the last.
--
-- By key and not by LIMIT alone, because each chunk would walk again over all the dead entries of those before it.
-- key_join_settings.sql leaves only the primary key for that order.
WITH doomed AS MATERIALIZED (
    SELECT ctid AS place, table_name, afi, prefix, path_id
    FROM current_routes
    WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)
      AND (table_name, afi, prefix, path_id) > ($3, $4, $5::cidr, $6)
    ORDER BY router_id, table_name, afi, prefix, path_id
    LIMIT $7
), gone AS (
    DELETE FROM current_routes WHERE ctid = ANY (ARRAY(SELECT place FROM doomed)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted, last.table_name, last.afi, last.prefix::text AS prefix, last.path_id
FROM (SELECT 1) AS one
LEFT JOIN (SELECT * FROM doomed OFFSET $7 - 1) AS last ON true
