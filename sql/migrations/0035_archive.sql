-- History that is kept as files: which days of which routers stand in an archive, and where the archive begins.

CREATE TABLE archives (
    day         DATE        NOT NULL,
    router_id   TEXT        NOT NULL,
    file        TEXT        NOT NULL,
    rows        BIGINT      NOT NULL,
    hash        BYTEA       NOT NULL,
    verified_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (day, router_id, file)
);

COMMENT ON TABLE archives IS 'One row per Parquet file of route_events (rib-ingester archive, RIB_INGESTER_ARCHIVE_DIR): a router''s events of one day. A row is written after the file was read back. With RIB_INGESTER_ARCHIVE_DIR retention drops only days whose events are all in such files.';
COMMENT ON COLUMN archives.day IS 'The day (UTC) of ingest_time of the events in the file.';
COMMENT ON COLUMN archives.router_id IS 'The router: routers.router_id. No foreign key.';
COMMENT ON COLUMN archives.file IS 'The whole path of the file on the machine that wrote it.';
COMMENT ON COLUMN archives.rows IS 'How many events are in the file.';
COMMENT ON COLUMN archives.hash IS 'SHA-256 over the event_id of all events in the file, in the order of afi, prefix, ingest_time, event_id.';
COMMENT ON COLUMN archives.verified_at IS 'When the file was last read back as a whole and had these rows, and this hash.';

-- The times that history is kept for, in the database and in files.
CREATE VIEW history_reach AS
SELECT history_begin() AS stored_from, a.archived_from, a.archived_until, COALESCE(a.files, 0) AS files, COALESCE(a.rows, 0)::bigint AS rows
FROM (SELECT min(x.day)::timestamp AT TIME ZONE 'UTC' AS archived_from, (max(x.day) + 1)::timestamp AT TIME ZONE 'UTC' AS archived_until,
             count(*) AS files, sum(x.rows) AS rows
      FROM archives x) AS a;

COMMENT ON VIEW history_reach IS 'How far back the history goes: in route_events, which history_is_complete, routes_as_of and all other functions and views read, and in the files of the archive, which none of them reads.';
COMMENT ON COLUMN history_reach.stored_from IS 'The time from which on route_events are in the database; NULL if there are none.';
COMMENT ON COLUMN history_reach.archived_from IS 'The first midnight (UTC) of a day that is in a file; NULL without an archive.';
COMMENT ON COLUMN history_reach.archived_until IS 'The midnight (UTC) at the end of the last day that is in a file; NULL without an archive. Days since stored_from are in the database as well.';
COMMENT ON COLUMN history_reach.files IS 'How many files there are: one per day and router.';
COMMENT ON COLUMN history_reach.rows IS 'How many events are in them.';
