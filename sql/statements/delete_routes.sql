-- Deletes the staged keys. Returns how many routes of each table there were.
--
-- Each key is searched for as the first row between itself and itself in the order of the primary key: under
-- key_join_settings.sql no other index can answer that, whatever the statistics are.
WITH gone AS (
    DELETE FROM {routes}
    WHERE ctid = ANY (ARRAY(
        SELECT found.ctid
        FROM {staged}_keys s
        CROSS JOIN LATERAL (
            SELECT c.ctid
            FROM {routes} c
            WHERE (c.router_id, {c.peer}c.table_name, c.afi, c.prefix, c.path_id)
                  >= (s.router_id, {s.peer}s.table_name, s.afi, s.prefix, s.path_id)
              AND (c.router_id, {c.peer}c.table_name, c.afi, c.prefix, c.path_id)
                  <= (s.router_id, {s.peer}s.table_name, s.afi, s.prefix, s.path_id)
            ORDER BY c.router_id, {c.peer}c.table_name, c.afi, c.prefix, c.path_id
            LIMIT 1
        ) AS found
    ))
    RETURNING router_id, {peer}table_name, afi
)
SELECT router_id, {peer}table_name, afi, count(*) AS routes FROM gone GROUP BY router_id, {peer}table_name, afi
