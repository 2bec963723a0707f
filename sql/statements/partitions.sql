-- The partitions of the table $1 by their bounds, whatever their names, and the tables that retention detached from it
-- and has not dropped yet. Times are microseconds since 1970; NULL if there is no bound. Oldest first.
WITH found AS (
    SELECT i.inhrelid AS oid, CASE WHEN i.inhdetachpending THEN 'detaching' ELSE 'attached' END AS state
    FROM pg_inherits i WHERE i.inhparent = $1::text::regclass
    UNION ALL
    SELECT c.oid, 'detached'
    FROM detached_partitions d JOIN pg_class c ON c.oid = d.oid AND c.relname = d.name
    WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
      AND $1 = CASE WHEN d.name LIKE 'route\_snapshots\_%' THEN 'route_snapshots'
                    WHEN d.name LIKE 'nlri\_route\_events\_%' THEN 'nlri_route_events'
                    ELSE 'route_events' END
),
bounds AS (
    SELECT f.oid, f.state, c.relname::text AS name, c.reltuples, pg_get_expr(c.relpartbound, c.oid) AS text,
           regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(([^()]*)\) TO \(([^()]*)\)$') AS ends
    FROM found f JOIN pg_class c ON c.oid = f.oid
),
times AS (
    SELECT b.*, s.starts, s.stops
    FROM bounds b
    LEFT JOIN LATERAL (
        -- A bound is written in the session's time zone; a bound that is a date means its UTC midnight.
        SELECT max(t) FILTER (WHERE place = 1) AS starts, max(t) FILTER (WHERE place = 2) AS stops
        FROM (SELECT place, CASE WHEN part ~ '^''\d+-\d\d-\d\d''$' THEN (btrim(part, '''') || ' 00:00:00+00')::timestamptz
                                 WHEN part LIKE '''%' THEN btrim(part, '''')::timestamptz END AS t
              FROM unnest(b.ends) WITH ORDINALITY AS parts (part, place)) AS parts
    ) AS s ON true
)
SELECT t.oid, t.name, t.oid::regclass::text AS table, t.state, COALESCE(t.text = 'DEFAULT', false) AS is_default,
       EXISTS (SELECT FROM detached_partitions d WHERE d.oid = t.oid AND d.name = t.name) AS is_marked,
       (extract(epoch FROM t.starts) * 1000000)::bigint AS starts,
       (extract(epoch FROM t.stops) * 1000000)::bigint AS stops,
       GREATEST(t.reltuples, 0)::bigint AS rows,
       pg_total_relation_size(t.oid) AS bytes,
       (SELECT string_agg(DISTINCT v.oid::regclass::text, ', ') FROM pg_depend d
        JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid JOIN pg_class v ON v.oid = r.ev_class
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND v.oid <> t.oid) AS dependents
FROM times t
ORDER BY t.starts NULLS LAST, t.name
