-- How many routes of a router ($1) are of networks of which the policy accepts no path, for each table of which both views
-- are stored. Both views are read in the order of the primary key.
SELECT host(r.peer_address) AS peer_address, r.table_name, r.afi, count(*) AS routes
FROM adj_rib_in r
WHERE r.router_id = $1 AND NOT r.is_post_policy
  AND EXISTS (SELECT FROM adj_rib_in_sync_status s
              WHERE s.router_id = $1 AND s.peer_address = r.peer_address AND s.is_post_policy AND s.table_name = r.table_name
                AND s.afi = r.afi)
  AND NOT EXISTS (SELECT FROM adj_rib_in a
                  WHERE a.router_id = $1 AND a.peer_address = r.peer_address AND a.is_post_policy
                    AND a.table_name = r.table_name AND a.afi = r.afi AND a.prefix = r.prefix)
GROUP BY r.peer_address, r.table_name, r.afi
