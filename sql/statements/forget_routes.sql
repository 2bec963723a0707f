-- Deletes at most $2 routes of a router ($1). Returns how many of each table.
WITH gone AS (
    DELETE FROM {routes}
    WHERE ctid = ANY (ARRAY(SELECT ctid FROM {routes} WHERE router_id = $1 LIMIT $2))
    RETURNING router_id, {peer}table_name, afi
)
SELECT router_id, {peer}table_name, afi, count(*) AS routes FROM gone GROUP BY router_id, {peer}table_name, afi
