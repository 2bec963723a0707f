-- The routes that a connection of a writer fills by COPY before upsert_routes.sql.
--
-- Each connection creates a staging table when it first needs it: at each COMMIT that used any, PostgreSQL empties all
-- that the connection has, and builds the index of their TOAST tables anew, which takes longer than many a batch.
CREATE TEMP TABLE IF NOT EXISTS {staged}_routes ON COMMIT DELETE ROWS AS
SELECT router_id, {peer}table_name, afi, prefix, path_id, {speaker}nexthop, as_path, origin, localpref, med, origin_asn,
       communities_std, communities_ext, communities_large, attrs
FROM {routes}
WITH NO DATA
