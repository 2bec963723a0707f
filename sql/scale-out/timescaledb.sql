-- History as a hypertable of TimescaleDB (https://www.tigerdata.com), for its compression. NOT TESTED with the extension: a test
-- runs all that plain PostgreSQL understands, with functions in the extension's place that check table, columns and keys.
--
-- Run once, as the owner of the tables, behind `rib-ingester migrate` and before the first session; create the extension first.
-- The collector sees that route_events is not partitioned by PostgreSQL itself and makes no days: set
-- RIB_INGESTER_RETENTION_DAYS=0 and let TimescaleDB drop chunks, as below.
--
-- What differs from one plain PostgreSQL:
-- * A table that PostgreSQL partitions cannot become a hypertable, so an empty one takes its place, with the contract's key.
--   (event_id, ingest_time) holds the column of time, as TimescaleDB demands.
-- * The two indexes that each day has are on the whole table, under names without a day.
-- * Chunks are a day from midnight UTC. A replay looks for ids of the last two days, so younger chunks must not be compressed.
-- * The functions over the history belong to the table that goes, and go with it; two that do not are dropped beside them.
--   Make all of them again with sql/migrations/0007_history.sql; history_begin has to ask timescaledb_information.chunks
--   then.
-- * What was granted on route_events alone has to be granted again.
BEGIN;
ALTER TABLE route_events RENAME TO route_events_by_day;
CREATE TABLE route_events (LIKE route_events_by_day INCLUDING ALL);
DROP TABLE route_events_by_day CASCADE;
DROP FUNCTION table_removals, routes_between;
CREATE INDEX idx_route_events_prefix_history ON route_events (router_id, table_name, afi, prefix, ingest_time DESC);
CREATE INDEX idx_route_events_router_churn ON route_events (router_id, table_name, afi, ingest_time DESC);
SELECT create_hypertable('route_events', 'ingest_time', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
ALTER TABLE route_events SET (timescaledb.compress, timescaledb.compress_segmentby = 'router_id, table_name, afi',
                              timescaledb.compress_orderby = 'ingest_time DESC');
SELECT add_compression_policy('route_events', INTERVAL '3 days');
SELECT add_retention_policy('route_events', INTERVAL '30 days');
COMMIT;
