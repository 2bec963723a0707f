-- Daily snapshots of tables, and the partitions of history that retention is about to drop.

CREATE TABLE snapshots (
    day        DATE        NOT NULL,
    router_id  TEXT        NOT NULL,
    table_name TEXT        NOT NULL,
    taken_at   TIMESTAMPTZ NOT NULL,
    routes     BIGINT      NOT NULL,
    PRIMARY KEY (router_id, table_name, day)
);

COMMENT ON TABLE snapshots IS 'The tables whose routes of a day are in route_snapshots; empty unless RIB_INGESTER_DAILY_SNAPSHOTS is on.';
COMMENT ON COLUMN snapshots.day IS 'The UTC day on which it was taken.';
COMMENT ON COLUMN snapshots.router_id IS 'The router, see routers.';
COMMENT ON COLUMN snapshots.table_name IS 'BMP table name.';
COMMENT ON COLUMN snapshots.taken_at IS 'When it was complete, by the clock of the database.';
COMMENT ON COLUMN snapshots.routes IS 'How many routes it holds.';

CREATE TABLE route_snapshots (
    day               DATE     NOT NULL,
    router_id         TEXT     NOT NULL,
    table_name        TEXT     NOT NULL,
    afi               SMALLINT NOT NULL,
    prefix            CIDR     NOT NULL,
    path_id           BIGINT   NOT NULL,
    nexthop           INET,
    as_path           TEXT,
    origin            TEXT,
    localpref         BIGINT,
    med               BIGINT,
    origin_asn        BIGINT,
    communities_std   TEXT[],
    communities_ext   TEXT[],
    communities_large TEXT[],
    attrs             JSONB,
    updated_at        TIMESTAMPTZ NOT NULL
) PARTITION BY RANGE (day);

CREATE INDEX idx_route_snapshots_prefix ON route_snapshots (router_id, table_name, prefix);

COMMENT ON TABLE route_snapshots IS 'The Loc-RIB routes of the tables in snapshots, once a day, in partitions of one UTC day (route_snapshots_YYYYMMDD) that are dropped after RIB_INGESTER_RETENTION_DAYS. routes_as_of reads them.';
COMMENT ON COLUMN route_snapshots.day IS 'The day of the snapshot. Partition key.';
-- The other columns mean what they mean in current_routes.
DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT a.attname, col_description(a.attrelid, a.attnum) AS comment
        FROM pg_attribute a JOIN pg_attribute s ON s.attname = a.attname AND s.attrelid = 'route_snapshots'::regclass
        WHERE a.attrelid = 'current_routes'::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN route_snapshots.%I IS %L', one.attname, one.comment);
    END LOOP;
END;
$$;

-- A table is dropped for its age only if its row is here: one that somebody else detached, or that only has the name of a
-- partition, is theirs.
CREATE TABLE detached_partitions (
    oid         OID         PRIMARY KEY,
    name        TEXT        NOT NULL,
    detached_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

COMMENT ON TABLE detached_partitions IS 'Internal: partitions that maintenance detaches because their retention is over, until they are dropped.';
COMMENT ON COLUMN detached_partitions.oid IS 'The table. Dropped only while this and the name agree.';
COMMENT ON COLUMN detached_partitions.name IS 'Its name when it was detached.';
COMMENT ON COLUMN detached_partitions.detached_at IS 'When maintenance began to detach it.';
