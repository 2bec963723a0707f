-- Tables of a router ($1) of a collector ($4) that have been stale for $2 seconds in all their families; at most $3 of
-- them, and no further one behind $6 routes. If a session has begun only one family, it purges the other one itself.
SELECT {peer}table_name
FROM (
    SELECT {s.peer}s.table_name,
           sum(COALESCE(sum(c.routes), 0)) OVER (ORDER BY {s.peer}s.table_name) - COALESCE(sum(c.routes), 0) AS routes_before
    FROM {sync} s
    LEFT JOIN {counts} c
        ON c.router_id = s.router_id AND c.rib = $5 AND c.table_name = s.table_name AND c.afi = s.afi {and c.peer = s.peer}
    WHERE s.router_id = $1 AND EXISTS (SELECT FROM router_owner WHERE router_id = $1 AND collector_id = $4)
    GROUP BY {s.peer}s.table_name
    HAVING bool_and(COALESCE(s.stale_since <= now() - make_interval(secs => $2), false))
) AS due
WHERE routes_before < $6
ORDER BY {peer}table_name
LIMIT $3
