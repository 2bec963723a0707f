-- Every router with what is known of it: its live BMP session, the end of its dump, and who lost it.
WITH live AS (
    SELECT s.router_id, max(s.began_at) AS began, bool_and(s.state = 'up') AS is_up, max(s.since) AS since
    FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.state IN ('dumping', 'up') AND c.alive_until > now()
    GROUP BY s.router_id
), dumping AS (
    SELECT DISTINCT router_id
    FROM (SELECT router_id, synced_at, stale_since FROM rib_sync_status
          UNION ALL SELECT router_id, synced_at, stale_since FROM adj_rib_in_sync_status) AS tables
    WHERE synced_at IS NULL AND stale_since IS NULL
)
SELECT r.router_id, COALESCE(NULLIF(r.display_name, ''), r.hostname), r.as_number, (extract(epoch FROM l.began) * 1000000)::bigint,
       -- A router without any peer has no table, and its session is dumping forever.
       CASE WHEN l.is_up OR d.router_id IS NULL AND l.began < now() - interval '60 seconds'
            THEN (extract(epoch FROM l.since) * 1000000)::bigint END,
       CASE WHEN l.began IS NULL THEN (extract(epoch FROM COALESCE(t.since, r.last_seen)) * 1000000)::bigint END, t.state, t.session_collector
FROM routers r
LEFT JOIN live l USING (router_id)
LEFT JOIN dumping d USING (router_id)
LEFT JOIN router_states t USING (router_id)
