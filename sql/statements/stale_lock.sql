-- Locks the status rows of one table, and returns for each whether it has been stale for $5 seconds.
SELECT COALESCE(stale_since <= now() - make_interval(secs => $5), false)
FROM rib_sync_status
WHERE router_id = $1 AND table_name = $2 /*adj AND peer_address = $3 AND is_post_policy = $4*/
ORDER BY afi
FOR UPDATE
