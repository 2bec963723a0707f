-- The status rows of a router go, of all its tables or of all families of one ($2, and of an Adj-RIB $3 and $4).
DELETE FROM rib_sync_status
WHERE router_id = $1 AND ($2 IS NULL OR table_name = $2)
  /*adj AND ($3 IS NULL OR peer_address = $3 AND is_post_policy = $4)*/
