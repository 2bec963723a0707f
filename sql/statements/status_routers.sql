-- The routers and whether they are connected: all, or some ($1), at most $2 of them.
SELECT r.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen,
       v.collector_id, v.state, v.since, v.session_collector, v.source, v.reason, v.stale_since, v.expires_at
FROM routers r JOIN router_states v USING (router_id)
WHERE $1::text[] IS NULL OR r.router_id = ANY ($1)
ORDER BY r.router_id
LIMIT $2::bigint
