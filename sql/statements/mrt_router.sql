-- The router $1 as the peer of its own Loc-RIB.
SELECT router_id, router_ip, as_number FROM routers WHERE router_id = $1
