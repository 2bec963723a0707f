-- The columns of constraint $3 of table $2 of schema $1, or of the unique index of that name.
SELECT a.attname::text
FROM pg_class r
JOIN pg_namespace n ON n.oid = r.relnamespace
CROSS JOIN LATERAL (
    SELECT unnest(c.conkey) AS number FROM pg_constraint c WHERE c.conrelid = r.oid AND c.conname = $3
    UNION
    SELECT unnest(i.indkey::smallint[]) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = r.oid AND x.relname = $3
) k
JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = k.number
WHERE n.nspname = $1 AND r.relname = $2
ORDER BY a.attnum
