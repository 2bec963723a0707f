-- The whole inventory with its states, each site before its nodes, and so on.
WITH owners AS MATERIALIZED (
    SELECT * FROM inventory.owners_overview
), services AS (
    SELECT * FROM inventory.services_overview
), entries AS (
    SELECT 'site' AS kind, x.name AS site, x.id AS site_id, NULL AS node, NULL::integer AS node_id, NULL AS hostname,
           NULL::integer AS container_id, NULL::integer AS service_id, x.name, NULL AS note, x.external_ip AS address
    FROM inventory.sites x
    UNION ALL
    SELECT 'node', x.name, x.id, n.name, n.id, NULL, NULL, NULL, n.name, NULL, n.ipv4_address
    FROM inventory.nodes n JOIN inventory.sites x ON x.id = n.site_id
    UNION ALL
    SELECT 'container', x.name, x.id, n.name, n.id, c.hostname, c.id, NULL, c.hostname, NULLIF(c.status, 'running'), c.ipv4_address
    FROM inventory.containers c JOIN inventory.nodes n ON n.id = c.node_id JOIN inventory.sites x ON x.id = n.site_id
), told AS (
    SELECT e.*, o.state, o.since, o.known_vantages, o.bad_vantages
    FROM entries e
    LEFT JOIN owners o ON o.owner_kind = e.kind AND o.owner_id = COALESCE(e.container_id, e.node_id, e.site_id)
    UNION ALL
    SELECT 'service', s.site, s.site_id, s.node, s.node_id, s.hostname, s.container_id, s.service_id, s.name,
           concat(s.type, ' by the ' || s.by_kind), s.by_address, s.state, s.since, NULL, NULL
    FROM services s
)
SELECT kind, COALESCE(service_id, container_id, node_id, site_id) AS id, name, note, host(address) AS address,
       COALESCE(state, 'unknown') AS state,
       (extract(epoch FROM since) * 1000000)::bigint AS since,
       COALESCE(known_vantages, 0) AS known_vantages, COALESCE(bad_vantages, 0) AS bad_vantages,
       CASE WHEN COALESCE(state, 'unknown') <> 'unknown' THEN NULL
            WHEN address IS NULL THEN 'no address'
            WHEN since IS NOT NULL THEN 'no vantage can tell now'
            WHEN inventory.is_public(address) THEN 'no table has had a route to it'
            ELSE 'private, and its site has no vantages' END AS why
FROM told
ORDER BY site, site_id, node NULLS FIRST, node_id NULLS FIRST, hostname NULLS FIRST, container_id NULLS FIRST, service_id NULLS FIRST
