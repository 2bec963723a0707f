-- Deletes all routes of a router.
--
-- All at once: the planner reads the heap in its order where they are many and by the key where they are few, either takes
-- well under a microsecond a route, and no reader sees half a table. Readers do not wait: a DELETE takes no lock of theirs.
DELETE FROM current_routes WHERE router_id = $1
