-- Deletes at most $3 routes of a peer ($2) of a router ($1) from its Adj-RIBs. Returns how many of each table. Of a
-- Loc-RIB, which has no peers, the statement deletes nothing: its list of columns is empty.
WITH peer AS (SELECT $2::inet AS peer_address), gone AS (
    DELETE FROM {routes}
    WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM {routes} c, peer
                            WHERE c.router_id = $1 {and c.address = peer.address} AND '{peer}' <> '' LIMIT $3))
    RETURNING router_id, {peer}table_name, afi
)
SELECT router_id, {peer}table_name, afi, count(*) AS routes FROM gone GROUP BY router_id, {peer}table_name, afi
