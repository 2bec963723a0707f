-- The tables of peers with these addresses ($1) or ASes ($2), by family: how many routes each has before and after policy,
-- and when its dump was complete. Without a table: nothing of the peer is stored. A peer is up if a Peer Up arrived in the
-- live BMP session of its router. Of several peers with one address, the one that is up counts.
WITH live AS (
    SELECT s.router_id, max(s.began_at) AS began FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.state IN ('dumping', 'up') AND c.alive_until > now()
    GROUP BY s.router_id
), named AS (
    SELECT DISTINCT ON (p.router_id, p.peer_address) p.router_id, p.peer_address, p.peer_asn, p.description,
           p.state = 'up' AND l.began IS NOT NULL AND p.updated_at >= l.began AS is_up
    FROM peers p LEFT JOIN live l USING (router_id)
    WHERE p.peer_type <> 'loc_rib' AND (p.peer_address = ANY ($1) OR p.peer_asn = ANY ($2))
    ORDER BY p.router_id, p.peer_address, p.state = 'up' DESC, p.updated_at DESC
)
SELECT n.router_id, n.peer_address, n.peer_asn, n.description, n.is_up, s.table_name, s.afi,
       CASE WHEN bool_and(s.synced_at IS NOT NULL AND s.stale_since IS NULL)
            THEN (extract(epoch FROM max(s.synced_at)) * 1000000)::bigint END,
       (sum(GREATEST(COALESCE(c.routes, 0), 0)) FILTER (WHERE NOT s.is_post_policy))::bigint,
       (sum(GREATEST(COALESCE(c.routes, 0), 0)) FILTER (WHERE s.is_post_policy))::bigint
FROM named n
LEFT JOIN adj_rib_in_sync_status s ON s.router_id = n.router_id AND s.peer_address = n.peer_address
LEFT JOIN route_counts c
    ON c.router_id = s.router_id AND c.rib = 'adj-rib-in' AND c.peer_address = s.peer_address
       AND c.is_post_policy = s.is_post_policy AND c.table_name = s.table_name AND c.afi = s.afi
GROUP BY n.router_id, n.peer_address, n.peer_asn, n.description, n.is_up, s.table_name, s.afi
