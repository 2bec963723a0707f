-- Deletes a router's routes ($2: of one of its tables) behind the key $3 to $6, up to the key $7 to $10 or to the end.
--
-- By key range and not by LIMIT, because each chunk would walk again over all the dead entries of those before it.
DELETE FROM current_routes
WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)
  AND (table_name, afi, prefix, path_id) > ($3, $4, $5::cidr, $6)
  AND ($7 IS NULL OR (table_name, afi, prefix, path_id) <= ($7, $8, $9::cidr, $10))
