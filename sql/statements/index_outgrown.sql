-- Notes the smallest size for its number of rows of each index of the tables of routes, and returns the one that has
-- outgrown it most, if one has three times that size and at least $2 bytes and was not rebuilt in the last day.
--
-- Tables of fewer than $1 rows count as having $1, and say nothing of the size that an index should have. Indexes of
-- keys are left out: while one is rebuilt, INSERT .. ON CONFLICT may fail with 23505, and B-trees use their pages again.
WITH tables AS (
    SELECT t.relation, COALESCE(sum(n.routes), 0)::bigint AS rows
    FROM (VALUES ('loc-rib', 'current_routes'::regclass), ('adj-rib-in', 'adj_rib_in'), ('adj-rib-out', 'adj_rib_out'))
         AS t (rib, relation)
    LEFT JOIN route_counts n ON n.rib = t.rib
    GROUP BY t.relation
),
sizes AS (
    SELECT c.oid, c.relname::text AS name, pg_relation_size(c.oid) AS bytes, t.rows, GREATEST(t.rows, $1) AS rows_counted
    FROM tables t
    JOIN pg_index i ON i.indrelid = t.relation AND i.indisvalid AND NOT i.indisunique
    JOIN pg_class c ON c.oid = i.indexrelid
),
noted AS (
    INSERT INTO index_sizes AS k (name, bytes, rows)
    SELECT name, bytes, rows FROM sizes WHERE rows >= $1
    ON CONFLICT (name) DO UPDATE SET bytes = EXCLUDED.bytes, rows = EXCLUDED.rows, noted_at = EXCLUDED.noted_at
    WHERE EXCLUDED.bytes::numeric * k.rows < k.bytes::numeric * EXCLUDED.rows
)
SELECT s.oid::regclass::text AS index, s.name, s.bytes, s.rows_counted AS rows
FROM sizes s
JOIN index_sizes k ON k.name = s.name
WHERE s.bytes >= $2 AND s.bytes::numeric * k.rows > 3 * k.bytes::numeric * s.rows_counted
  AND (k.tried_at IS NULL OR k.tried_at NOT BETWEEN now() - interval '1 day' AND now())
ORDER BY s.bytes - k.bytes::numeric / k.rows * s.rows_counted DESC, s.name
LIMIT 1
