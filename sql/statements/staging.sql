-- The tables that one connection of a writer fills by COPY before each set-based statement.
--
-- Created once per connection; each commit or rollback empties them, so a retry starts clean.
CREATE TEMP TABLE {staged}_routes ON COMMIT DELETE ROWS AS
SELECT router_id, {peer}table_name, afi, prefix, path_id, {speaker}nexthop, as_path, origin, localpref, med, origin_asn,
       communities_std, communities_ext, communities_large, attrs
FROM {routes}
WITH NO DATA;

CREATE TEMP TABLE {staged}_keys ON COMMIT DELETE ROWS AS
SELECT router_id, {peer}table_name, afi, prefix, path_id FROM {routes} WITH NO DATA;

CREATE TEMP TABLE {staged}_tables ON COMMIT DELETE ROWS AS
SELECT 0::bigint AS number, router_id, {peer}table_name, afi FROM {routes} WITH NO DATA;
