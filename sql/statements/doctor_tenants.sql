-- Faults of rights that keep teams apart: whether row-level security binds this role, and the tables that roles of teams
-- may read or write besides their views.
SELECT row_security_active(c.oid) AS is_bound, c.relowner::regrole::text AS owner,
       ARRAY(SELECT r.rolname || ' on ' || g.oid::regclass
             FROM watch.team_roles t
             JOIN pg_roles r ON r.rolname = t.db_role
             JOIN pg_class g ON g.relkind IN ('r', 'p', 'v', 'm') AND NOT g.relispartition
             WHERE g.relnamespace IN ('tenant'::regnamespace, 'watch'::regnamespace, 'rpki'::regnamespace,
                                      (SELECT o.relnamespace FROM pg_class o WHERE o.oid = 'current_routes'::regclass))
               AND NOT (g.relnamespace = 'tenant'::regnamespace AND g.relname LIKE 'own\_%')
               AND (has_table_privilege(r.oid, g.oid, 'SELECT, INSERT, UPDATE, DELETE') OR has_any_column_privilege(r.oid, g.oid, 'SELECT, INSERT, UPDATE'))
             ORDER BY 1 LIMIT 5) AS granted
FROM pg_class c WHERE c.oid = 'watch.callbacks'::regclass
