-- The routers called $1: by identifier, by host name or the name that operators gave, or by address ($2).
SELECT r.router_id, r.hostname
FROM routers r
WHERE r.router_id = $1 OR lower(r.hostname) = lower($1) OR lower(r.display_name) = lower($1) OR host(r.router_ip) = host($2::inet)
ORDER BY r.router_id
