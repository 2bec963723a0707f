-- Tables of a router ($1) of a collector ($4) that have been stale for $2 seconds in all their families; at most $3 of
-- them. If a session has begun only one family, it purges the other one itself.
SELECT {peer}table_name
FROM {sync}
WHERE router_id = $1 AND EXISTS (SELECT FROM router_owner WHERE router_id = $1 AND collector_id = $4)
GROUP BY {peer}table_name
HAVING bool_and(COALESCE(stale_since <= now() - make_interval(secs => $2), false))
ORDER BY {peer}table_name
LIMIT $3
