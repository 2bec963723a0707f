-- One router in full.
SELECT r.router_id, r.router_ip, r.hostname, r.as_number, r.description, r.first_seen, r.last_seen, o.collector_id
FROM routers r LEFT JOIN router_owner o USING (router_id)
WHERE r.router_id = $1
