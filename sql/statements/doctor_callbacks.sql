-- How callbacks do, and who could read their secrets: their number, deliveries given up, other roles with rights, tables
-- without row-level security.
WITH secret AS (
    SELECT oid, oid::regclass::text AS name, relowner, relacl, relrowsecurity FROM pg_class
    WHERE oid IN ('watch.callbacks'::regclass, 'watch.callback_secrets'::regclass, 'watch.deliveries'::regclass)
)
SELECT (SELECT count(*) FROM watch.callbacks WHERE enabled),
       (SELECT count(*) FROM watch.deliveries WHERE state = 'dead'),
       (SELECT string_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee)::text END, ', ')
        FROM (SELECT a.grantee FROM secret s, aclexplode(s.relacl) a WHERE a.grantee <> s.relowner
              UNION
              SELECT a.grantee FROM secret s JOIN pg_attribute c ON c.attrelid = s.oid, aclexplode(c.attacl) a
              WHERE a.grantee <> s.relowner) granted),
       (SELECT string_agg(name, ', ' ORDER BY name) FROM secret WHERE NOT relrowsecurity)
