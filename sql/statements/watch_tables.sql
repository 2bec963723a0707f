-- The tables of every router that can be asked, by family. The Loc-RIB has one row of status, Adj-RIBs-In one per peer.
SELECT router_id, table_name, 'loc-rib', afi, false, (extract(epoch FROM min(synced_at)) * 1000000)::bigint, bool_or(stale_since IS NOT NULL), bool_or(synced_at IS NULL),
       (extract(epoch FROM min(session_start_time)) * 1000000)::bigint
FROM rib_sync_status GROUP BY router_id, table_name, afi
UNION ALL
SELECT router_id, table_name, 'adj-rib-in', afi, bool_or(is_post_policy), (extract(epoch FROM min(synced_at)) * 1000000)::bigint, bool_or(stale_since IS NOT NULL),
       bool_or(synced_at IS NULL), (extract(epoch FROM min(session_start_time)) * 1000000)::bigint
FROM adj_rib_in_sync_status GROUP BY router_id, table_name, afi
