-- What changes often: per watch that judges flapping, vantage and RIB the changes in the watch's own time and in the last
-- quarter of an hour. Minutes count as a whole, or not at all.
SELECT w.id, c.router_id, c.table_name, c.rib, c.peer_address, w.flap_changes, w.flap_secs,
       COALESCE(sum(c.announced + c.withdrawn) FILTER (WHERE c.minute >= now() - w.flap_secs * interval '1 second'), 0)::bigint,
       COALESCE(sum(c.announced + c.withdrawn) FILTER (WHERE c.minute >= now() - interval '15 minutes'), 0)::bigint
FROM (
    SELECT id, prefix, router_id, table_name, COALESCE(flap_changes, 30) AS flap_changes, COALESCE(flap_secs, 600) AS flap_secs
    FROM watch.watches
    WHERE enabled AND kind = 'prefix' AND (conditions IS NULL OR 'flapping' = ANY (conditions))
) AS w
JOIN watch.flap_counts c ON c.prefix = w.prefix
    AND (w.router_id IS NULL OR c.router_id = w.router_id) AND (w.table_name IS NULL OR c.table_name = w.table_name)
WHERE c.minute >= now() - GREATEST(w.flap_secs, 900) * interval '1 second'
GROUP BY w.id, c.router_id, c.table_name, c.rib, c.peer_address, w.flap_changes, w.flap_secs
HAVING sum(c.announced + c.withdrawn) >= LEAST(w.flap_changes, 5)
