-- The identifiers of the routers that have one of the names $1: an identifier, else a host name or display name.
SELECT n.name, r.router_id
FROM unnest($1::text[]) AS n(name)
LEFT JOIN routers r
    ON r.router_id = n.name
    OR (r.hostname = n.name OR r.display_name = n.name) AND NOT EXISTS (SELECT FROM routers o WHERE o.router_id = n.name)
ORDER BY r.router_id
