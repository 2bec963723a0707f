-- Deletes the next $7 routes of a router ($2, and of an Adj-RIB $8 and $9: of one of its tables) behind the key $3 to $6
-- (of an Adj-RIB $10, $11 and these), in key order, and tells how many those were and which was the last.
--
-- By key and not by LIMIT alone, because each chunk would walk again over all the dead entries of those before it.
-- key_join_settings.sql leaves only the primary key for that order.
WITH doomed AS MATERIALIZED (
    SELECT ctid AS place, /*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id
    FROM current_routes
    WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)
      /*adj AND ($8 IS NULL OR peer_address = $8 AND is_post_policy = $9)*/
      AND (/*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id) > (/*adj $10, $11, */$3, $4, $5::cidr, $6)
    ORDER BY router_id, /*adj peer_address, is_post_policy, */table_name, afi, prefix, path_id
    LIMIT $7
), gone AS (
    DELETE FROM current_routes WHERE ctid = ANY (ARRAY(SELECT place FROM doomed)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone) AS deleted, /*adj last.peer_address, last.is_post_policy, */last.table_name, last.afi, last.prefix::text AS prefix, last.path_id
FROM (SELECT 1) AS one
LEFT JOIN (SELECT * FROM doomed OFFSET $7 - 1) AS last ON true
