-- The keys that a connection of a writer fills by COPY before delete_routes.sql and delete_stale_routes.sql; see
-- staging_routes.sql.
CREATE TEMP TABLE IF NOT EXISTS {staged}_keys ON COMMIT DELETE ROWS AS
SELECT router_id, {peer}table_name, afi, prefix, path_id FROM {routes} WITH NO DATA
