-- Routers ($1; NULL: all) and whether they are connected.
SELECT r.router_id, COALESCE(NULLIF(r.display_name, ''), r.hostname) AS name, s.state, s.since, s.reason
FROM routers r
JOIN router_states s USING (router_id)
WHERE $1::text[] IS NULL OR r.router_id = ANY ($1::text[])
ORDER BY r.router_id
