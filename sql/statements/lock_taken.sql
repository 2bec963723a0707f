-- Locks a router that is taken from another collector: waits for the write transaction of the previous owner.
SELECT FROM router_owner WHERE router_id = $1 FOR UPDATE
