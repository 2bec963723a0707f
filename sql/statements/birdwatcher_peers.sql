-- The peers of a router ($1). The description is the router's, else the name in the registry, in an exchange's export, or of
-- the AS.
SELECT host(p.peer_address) AS peer_address, p.peer_asn, p.distinguisher, p.state, p.since, p.last_reason,
       COALESCE(NULLIF(p.description, ''), NULLIF(u.person, ''), x.note, a.name) AS description
FROM peers p
LEFT JOIN registry.users u ON u.asn = p.peer_asn
LEFT JOIN (SELECT peer_address, min(note) AS note FROM watch.watches
           WHERE source LIKE 'ix-f%' AND peer_address IS NOT NULL AND note <> '' GROUP BY peer_address) AS x
    ON x.peer_address = p.peer_address
LEFT JOIN names.as_names a ON a.asn = p.peer_asn
WHERE p.router_id = $1 AND p.peer_type <> 'loc_rib'
ORDER BY p.peer_address, p.peer_asn, p.distinguisher, p.state <> 'up', p.peer_type
