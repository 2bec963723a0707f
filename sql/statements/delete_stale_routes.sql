-- Deletes the staged keys of tables that this session has not written: the second safeguard against deleting a live
-- route. Without a session_start_time only rows from the future are deleted: those were written before the database's
-- clock was set back, and not by this session. The keys are searched for as in delete_routes.sql, and the result is the same.
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
              AND (c.updated_at > now() OR c.updated_at < (SELECT r.session_start_time FROM {sync} r
                                  WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
                                  {and r.peer = s.peer}))
            ORDER BY c.router_id, {c.peer}c.table_name, c.afi, c.prefix, c.path_id
            LIMIT 1
        ) AS found
    ))
    RETURNING router_id, {peer}table_name, afi
)
SELECT router_id, {peer}table_name, afi, count(*) AS routes FROM gone GROUP BY router_id, {peer}table_name, afi
