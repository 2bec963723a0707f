-- The medians of the last 24 hours of how many routes peers with these addresses ($1) or ASes ($2) had, by table and
-- family, before and after policy. NULL where fewer than 6 hours are known, or fewer than 6 times.
SELECT c.router_id, c.peer_address, c.table_name, c.afi,
       CASE WHEN count(c.pre) >= 6 AND min(c.at) FILTER (WHERE c.pre IS NOT NULL) <= now() - interval '6 hours'
            THEN percentile_disc(0.5) WITHIN GROUP (ORDER BY c.pre) END,
       CASE WHEN count(c.post) >= 6 AND min(c.at) FILTER (WHERE c.post IS NOT NULL) <= now() - interval '6 hours'
            THEN percentile_disc(0.5) WITHIN GROUP (ORDER BY c.post) END
FROM (SELECT DISTINCT router_id, peer_address FROM peers
      WHERE peer_type <> 'loc_rib' AND (peer_address = ANY ($1) OR peer_asn = ANY ($2))) AS p
JOIN peer_route_counts c ON c.router_id = p.router_id AND c.peer_address = p.peer_address
WHERE c.at >= now() - interval '24 hours'
GROUP BY c.router_id, c.peer_address, c.table_name, c.afi
