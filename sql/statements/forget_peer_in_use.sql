-- Whether the peer $2 of the router $1, which has a live session, is up in it or has tables.
SELECT EXISTS (SELECT FROM peers p WHERE p.router_id = $1 AND p.peer_address = $2 AND p.state = 'up')
    OR EXISTS (SELECT FROM adj_rib_in_sync_status s WHERE s.router_id = $1 AND s.peer_address = $2)
    OR EXISTS (SELECT FROM adj_rib_out_sync_status s WHERE s.router_id = $1 AND s.peer_address = $2)
    OR EXISTS (SELECT FROM nlri_adj_rib_in_sync_status s WHERE s.router_id = $1 AND s.peer_address = $2)
    OR EXISTS (SELECT FROM nlri_adj_rib_out_sync_status s WHERE s.router_id = $1 AND s.peer_address = $2)
