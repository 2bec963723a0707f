-- The columns of table $2 of schema $1: name, type, element type of arrays, length, whether a value is required, the
-- default, its place in the primary key, and whether a sequence gives it.
SELECT a.attname::text AS name, COALESCE(e.typname, t.typname)::text AS type, e.oid IS NOT NULL AS is_array,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 END AS length_max,
       a.attnotnull AS is_required, a.attidentity <> '' OR d.adbin IS NOT NULL AS has_default,
       pg_get_expr(d.adbin, d.adrelid) AS default_value, array_position(i.indkey::smallint[], a.attnum) AS key_place,
       pg_get_serial_sequence(format('%I.%I', $1::text, $2::text), a.attname) AS sequence
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(format('%I.%I', $1::text, $2::text)) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
