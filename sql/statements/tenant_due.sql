-- What the round of the teams has to do: no row where there is no team. Changes of routes are searched for each resource
-- in each table, every 5 seconds for each thousand of these searches. Row-level security hides teams from a role without
-- the rights of their owner, so that it cannot know whether there are any: then the row names both roles.
SELECT p.checked_at < now() - interval '10 minutes',
       p.analyzed_at < now() - interval '5 seconds'
           * (1 + (SELECT count(*) FROM tenant.resources) * (SELECT count(*) FROM (SELECT DISTINCT s.router_id, s.table_name FROM rib_sync_status s
                                                                                  UNION SELECT a.router_id, a.table_name FROM adj_rib_in_sync_status a) AS t) / 1000),
       p.forgotten_at < now() - interval '1 hour',
       CASE WHEN is_hidden THEN (SELECT pg_get_userbyid(relowner)::TEXT FROM pg_class WHERE oid = 'tenant.teams'::regclass) END, current_user::TEXT
FROM row_security_active('tenant.teams') AS is_hidden LEFT JOIN tenant.progress p ON true
WHERE is_hidden OR EXISTS (SELECT FROM tenant.teams)
