-- A session of this router began, or said more about itself. What it did not say stays; first_seen stays.
INSERT INTO routers (router_id, router_ip, hostname, as_number, description)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (router_id) DO UPDATE SET
    router_ip = COALESCE(EXCLUDED.router_ip, routers.router_ip),
    hostname = COALESCE(EXCLUDED.hostname, routers.hostname),
    as_number = COALESCE(EXCLUDED.as_number, routers.as_number),
    description = COALESCE(EXCLUDED.description, routers.description),
    last_seen = now()
