-- Deletes the status rows of all tables of a router.
DELETE FROM rib_sync_status WHERE router_id = $1
