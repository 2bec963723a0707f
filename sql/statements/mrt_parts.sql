-- The tables that the router $1 has or had, as far as session_events names them: of the Loc-RIB ($2 NULL), or of the
-- Adj-RIB-In after ($2) or before policy.
SELECT s.table_name FROM rib_sync_status s WHERE s.router_id = $1 AND $2::boolean IS NULL
UNION
SELECT s.table_name FROM adj_rib_in_sync_status s WHERE s.router_id = $1 AND s.is_post_policy = $2::boolean
UNION
SELECT s.table_name FROM session_events s
WHERE s.router_id = $1 AND s.table_name IS NOT NULL AND (s.peer_address IS NULL) = ($2::boolean IS NULL)
