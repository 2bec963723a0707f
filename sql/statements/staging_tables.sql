-- The tables that a connection of a writer fills by COPY before load_routes.sql; see staging_routes.sql.
CREATE TEMP TABLE IF NOT EXISTS {staged}_tables ON COMMIT DELETE ROWS AS
SELECT 0::bigint AS number, router_id, {peer}table_name, afi FROM {routes} WITH NO DATA
