-- The status rows of all tables of a router go.
DELETE FROM rib_sync_status WHERE router_id = $1
