-- One router in detail.
SELECT r.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen,
       v.collector_id, v.state, v.since, v.session_collector, v.source, v.reason, v.stale_since, v.expires_at
FROM routers r JOIN router_states v USING (router_id)
WHERE r.router_id = $1
