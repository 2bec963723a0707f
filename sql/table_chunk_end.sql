-- The last key of the next chunk of a router's routes ($2: of one of its tables), behind the key $3 to $6.
SELECT table_name, afi, prefix::text, path_id
FROM current_routes
WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)
  AND (table_name, afi, prefix, path_id) > ($3, $4, $5::cidr, $6)
ORDER BY table_name, afi, prefix, path_id
OFFSET $7 LIMIT 1
