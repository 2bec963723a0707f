#!/bin/sh
# Run once by the image of PostgreSQL, as superuser: the roles and the database of docs/install.md.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=writer="$WRITER_PASSWORD" --set=reader="$READER_PASSWORD" \
    --username="${POSTGRES_USER:-postgres}" --dbname=postgres <<'SQL'
CREATE ROLE rib_ingester LOGIN PASSWORD :'writer';
CREATE ROLE rib_reader LOGIN PASSWORD :'reader';
CREATE DATABASE rib OWNER rib_ingester;
GRANT CONNECT ON DATABASE rib TO rib_reader;
\connect rib
SELECT format('CREATE SCHEMA %I AUTHORIZATION rib_ingester', name)
FROM unnest('{watch,tenant,rpki,inventory,registry,names}'::text[]) AS name \gexec
SELECT format('GRANT USAGE ON SCHEMA %I TO rib_reader', name)
FROM unnest('{public,watch,tenant,rpki,inventory,registry,names}'::text[]) AS name \gexec
SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE rib_ingester IN SCHEMA %I GRANT SELECT ON TABLES TO rib_reader', name)
FROM unnest('{public,watch,tenant,rpki,inventory,registry,names}'::text[]) AS name \gexec
SQL
