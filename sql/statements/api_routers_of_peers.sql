-- The routers that have Adj-RIB tables, received or to be sent ($2: adj-rib-in or adj-rib-out), of the peers $1.
SELECT router_id FROM adj_rib_in_sync_status WHERE $2::text = 'adj-rib-in' AND peer_address = ANY ($1::text[]::inet[])
UNION
SELECT router_id FROM adj_rib_out_sync_status WHERE $2 = 'adj-rib-out' AND peer_address = ANY ($1::text[]::inet[])
