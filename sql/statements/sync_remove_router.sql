-- Deletes the status rows of all tables of a router.
DELETE FROM {sync} WHERE router_id = $1
