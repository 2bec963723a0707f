-- Stores what sessions report about their routers, each router once. Values that were not reported stay; first_seen
-- stays.
INSERT INTO routers (router_id, router_ip, hostname, as_number, description)
SELECT router_id, router_ip, hostname, as_number, description
FROM unnest($1::text[], $2::inet[], $3::text[], $4::bigint[], $5::text[])
    AS said (router_id, router_ip, hostname, as_number, description)
ORDER BY router_id
ON CONFLICT (router_id) DO UPDATE SET
    router_ip = COALESCE(EXCLUDED.router_ip, routers.router_ip),
    hostname = COALESCE(EXCLUDED.hostname, routers.hostname),
    as_number = COALESCE(EXCLUDED.as_number, routers.as_number),
    description = COALESCE(EXCLUDED.description, routers.description),
    last_seen = now()
