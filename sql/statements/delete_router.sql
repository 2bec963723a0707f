-- Deletes all routes of a router.
--
-- All in one statement: the planner reads the heap in its order if the routes are many and by the key if they are few.
-- Either costs well under a microsecond a route, and no reader sees half a table. Readers do not wait: a DELETE takes
-- no lock of theirs.
DELETE FROM {routes} WHERE router_id = $1
