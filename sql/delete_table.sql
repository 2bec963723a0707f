-- Deletes the routes of a router, or of one of its tables ($2, and of an Adj-RIB $3 and $4), whatever their family.
--
-- All at once: the planner reads the heap in its order where they are many and by the key where they are few, either takes
-- well under a microsecond a route, and no reader sees half a table. Readers do not wait: a DELETE takes no lock of theirs.
DELETE FROM current_routes
WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)
  /*adj AND ($3 IS NULL OR peer_address = $3 AND is_post_policy = $4)*/
