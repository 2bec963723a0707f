-- Tables of a router ($1) of a collector ($4) that have been stale for so long ($2, seconds) in all their families; some of
-- them ($3). A family that the session of the other one has not begun is that session's to purge.
SELECT table_name/*adj , peer_address, is_post_policy*/
FROM rib_sync_status
WHERE router_id = $1 AND EXISTS (SELECT FROM router_owner WHERE router_id = $1 AND collector_id = $4)
GROUP BY /*adj peer_address, is_post_policy, */table_name
HAVING bool_and(COALESCE(stale_since <= now() - make_interval(secs => $2), false))
ORDER BY /*adj peer_address, is_post_policy, */table_name
LIMIT $3
