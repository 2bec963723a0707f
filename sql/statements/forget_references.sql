-- What operators keep that names a router ($1), or with an address ($2) its peer: at most $3 of each kind, with the number
-- of all of that kind. A watch or silence of a peer that names no router may be about another router's peer too.
SELECT kind, name, of
FROM (
    SELECT kind, name, count(*) OVER (PARTITION BY kind) AS of, row_number() OVER (PARTITION BY kind ORDER BY name) AS place
    FROM (
        SELECT 'watch' AS kind, COALESCE(w.team || ': ', '') || w.name || CASE WHEN w.source <> 'manual' THEN ' (' || w.source || ')' ELSE '' END AS name
        FROM watch.watches w
        WHERE CASE WHEN $2::inet IS NULL THEN w.router_id = $1 ELSE w.peer_address = $2 AND COALESCE(w.router_id, $1) = $1 END
        UNION ALL
        SELECT 'silence', s.id || ', until ' || to_char(s.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"') || ': ' || s.note
        FROM watch.silences s
        WHERE LEAST(s.ends_at, s.ended_at) > now()
          AND CASE WHEN $2::inet IS NULL THEN s.router_id = $1 ELSE s.peer_address = $2 AND COALESCE(s.router_id, $1) = $1 END
        UNION ALL
        SELECT 'vantage', 'table ' || v.table_name FROM watch.vantages v WHERE $2::inet IS NULL AND v.router_id = $1
        UNION ALL
        SELECT 'change window', c.name FROM watch.change_windows c WHERE $2::inet IS NULL AND c.ended_at IS NULL AND $1 = ANY (c.scope)
        UNION ALL
        SELECT 'registry', 'router ' || COALESCE(b.name, b.router::text) || ', by its ' || replace(b.bound_by, '_', ' ')
        FROM registry.router_bindings b WHERE $2::inet IS NULL AND b.router_id = $1
        UNION ALL
        SELECT 'registry', 'session ' || p.session_uuid || ', AS' || p.peer_asn
        FROM registry.session_peers p WHERE p.router_id = $1 AND p.peer_address = $2
        UNION ALL
        SELECT 'inventory', 'site ' || i.name || ', vantage ' || v.table_name
        FROM inventory.site_vantages v JOIN inventory.sites i ON i.id = v.site_id
        WHERE $2::inet IS NULL AND v.router_id = $1
    ) AS named
) AS numbered
WHERE place <= $3
ORDER BY kind, place
