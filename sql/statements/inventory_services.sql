-- Services by number, with where they run.
SELECT service_id, type, name, hostname, node, site
FROM inventory.services_overview WHERE service_id = ANY ($1)
ORDER BY site, node, hostname, service_id
