-- Rows by what other systems know them by, the latest of equal ones last: names of sites are not unique. Services without
-- a protocol are noted by number only, so that no new one takes it.
SELECT 'site' AS kind, name, id FROM inventory.sites
UNION ALL SELECT 'node', name, id FROM inventory.nodes
UNION ALL SELECT 'container', hostname, id FROM inventory.containers
UNION ALL SELECT 'service', concat_ws(' ', c.hostname, t.protocol, s.container_port), s.id
FROM inventory.services s JOIN inventory.containers c ON c.id = s.container_id
LEFT JOIN inventory.transport_services t ON t.service_id = s.id
UNION ALL SELECT 'transport', concat_ws(' ', c.hostname, t.protocol, s.container_port), t.id
FROM inventory.transport_services t JOIN inventory.services s ON s.id = t.service_id
JOIN inventory.containers c ON c.id = s.container_id
ORDER BY 1, 3
