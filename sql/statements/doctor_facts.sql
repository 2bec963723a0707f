-- The facts for `doctor` about the server and the role that asks, in one row. None of them needs a superuser.
SELECT current_setting('server_version_num')::int AS version,
       current_user::text AS role,
       current_database()::text AS database,
       current_setting('server_encoding') AS encoding,
       -- The first schema of search_path that exists and may be used; NULL if there is none.
       current_schema()::text AS schema,
       current_setting('search_path') AS search_path,
       named.name AS named_schema,
       named.is_there AS has_named_schema,
       (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = 'schema_migrations' AND c.relkind = 'r' AND n.nspname IS DISTINCT FROM current_schema()) AS other_schemas,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
       has_database_privilege(current_database(), 'CREATE') AS may_create_in_database,
       has_database_privilege(current_database(), 'TEMP') AS may_create_temporary,
       COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create_in_schema,
       -- NULL: there is none.
       CASE WHEN to_regnamespace('watch') IS NOT NULL THEN has_schema_privilege('watch', 'CREATE') END AS may_create_in_watch,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS is_read_only,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist') AS has_extension,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') AS may_have_extension,
       (SELECT count(*) FROM pg_class c
        WHERE c.relnamespace = own.oid AND c.relkind IN ('r', 'p', 'm') AND NOT pg_has_role(c.relowner, 'USAGE')) AS foreign_tables,
       (SELECT min(pg_get_userbyid(c.relowner)::text) FROM pg_class c
        WHERE c.relnamespace = own.oid AND c.relkind IN ('r', 'p', 'm') AND NOT pg_has_role(c.relowner, 'USAGE')) AS foreign_owner,
       ARRAY(SELECT history || ' ' || string_agg(privilege, ', ' ORDER BY privilege DESC)
             FROM unnest('{route_events,nlri_route_events}'::text[]) AS history, unnest('{SELECT,INSERT}'::text[]) AS privilege
             WHERE NOT has_table_privilege(to_regclass(history), privilege)
             GROUP BY history ORDER BY history DESC) AS history_lacks,
       -- Background processes have places of their own, and no database. PostgreSQL 16 reserves places for a second role.
       (SELECT count(datid) FROM pg_stat_activity) AS connections,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
           - COALESCE(current_setting('reserved_connections', true)::int, 0) AS connections_max,
       pg_database_size(current_database()) AS database_bytes,
       current_setting('autovacuum')::boolean AS autovacuum,
       current_setting('fsync')::boolean AS fsync,
       current_setting('full_page_writes')::boolean AS full_page_writes,
       (SELECT setting::bigint * current_setting('block_size')::bigint FROM pg_settings WHERE name = 'shared_buffers') AS shared_buffers_bytes,
       (SELECT setting::bigint * 1048576 FROM pg_settings WHERE name = 'max_wal_size') AS max_wal_bytes,
       (SELECT setting::bigint FROM pg_settings WHERE name = 'checkpoint_timeout') AS checkpoint_seconds
FROM (SELECT (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AS oid) AS own,
     -- The first schema named in search_path, ignoring $user.
     (SELECT max(name) FILTER (WHERE place = 1) AS name, COALESCE(bool_or(is_there) FILTER (WHERE place = 1), false) AS is_there
      FROM (SELECT name, row_number() OVER (ORDER BY place) AS place, EXISTS (SELECT FROM pg_namespace WHERE nspname = name) AS is_there
            FROM (SELECT btrim(part, ' "') AS name, place
                  FROM unnest(string_to_array(current_setting('search_path'), ',')) WITH ORDINALITY AS parts (part, place)) AS parts
            WHERE name NOT IN ('$user', '')) AS numbered) AS named
