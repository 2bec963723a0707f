-- The tables of other families of all routers, or of some ($1): of an Adj-RIB all peers together, how many tables are in
-- sync, and how many routes they have.
SELECT router_id, rib || CASE WHEN is_post_policy THEN '-post' WHEN NOT is_post_policy THEN '-pre' ELSE '' END AS view,
       table_name, afi, safi, count(peer_address) AS peers, count(*) AS tables, count(synced_at) AS synchronized,
       count(stale_since) AS stale, sum(routes)::bigint AS routes, max(last_parsed_msg_time) AS last_parsed_msg_time
FROM nlri_tables
WHERE $1::text[] IS NULL OR router_id = ANY ($1)
GROUP BY router_id, rib, is_post_policy, table_name, afi, safi
ORDER BY router_id, rib DESC, is_post_policy, table_name
