-- The tables and views of another system's database, those of schema $1 first, then those that its search path
-- finds: two schemas may have one of the same name.
SELECT n.nspname::text, c.relname::text
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
ORDER BY n.nspname <> $1, NOT pg_table_is_visible(c.oid), n.nspname, c.relname
