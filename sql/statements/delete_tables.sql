-- Deletes the routes of tables in all families and returns the number of routes of each table and family.
--
-- A table of many routes is read in the order of the heap, one of few by its index: the settings of load_settings.sql
-- leave the planner only that choice. All in one statement, so no reader sees half a table. Readers do not wait: a
-- DELETE takes no lock of theirs.
WITH gone AS (
    DELETE FROM {routes} c
    USING unnest($1::text[], $2::text[], $3::inet[], $4::boolean[])
        WITH ORDINALITY AS t (router_id, table_name, peer_address, is_post_policy, number)
    WHERE c.router_id = t.router_id AND c.table_name = t.table_name
      {and c.peer = t.peer}
    RETURNING t.number, c.afi
)
SELECT number, afi, count(*) AS routes FROM gone GROUP BY number, afi
