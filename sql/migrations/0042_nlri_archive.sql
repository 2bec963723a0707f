-- The history of other families in files too, and read by its time.

ALTER TABLE archives ADD COLUMN history TEXT NOT NULL DEFAULT 'route_events'
    CHECK (history IN ('route_events', 'nlri_events'));

COMMENT ON TABLE archives IS 'One row per Parquet file of route_events or nlri_events (rib-ingester archive, RIB_INGESTER_ARCHIVE_DIR): a router''s events of one day. A row is written after the file was read back. With RIB_INGESTER_ARCHIVE_DIR retention drops only days whose events are all in such files.';
COMMENT ON COLUMN archives.history IS 'The view or table whose events are in the file: route_events or nlri_events.';
COMMENT ON COLUMN archives.hash IS 'SHA-256 over the event_id of all events in the file, in the order of afi, prefix, ingest_time, event_id; of nlri_events in that of afi, key_hash, safi, ingest_time, event_id.';

CREATE OR REPLACE VIEW history_reach AS
SELECT history_begin() AS stored_from, a.archived_from, a.archived_until, COALESCE(a.files, 0) AS files, COALESCE(a.rows, 0)::bigint AS rows,
       a.nlri_archived_from, a.nlri_archived_until, COALESCE(a.nlri_files, 0) AS nlri_files, COALESCE(a.nlri_rows, 0)::bigint AS nlri_rows
FROM (SELECT min(x.day) FILTER (WHERE x.history = 'route_events')::timestamp AT TIME ZONE 'UTC' AS archived_from,
             (max(x.day) FILTER (WHERE x.history = 'route_events') + 1)::timestamp AT TIME ZONE 'UTC' AS archived_until,
             count(*) FILTER (WHERE x.history = 'route_events') AS files,
             sum(x.rows) FILTER (WHERE x.history = 'route_events') AS rows,
             min(x.day) FILTER (WHERE x.history = 'nlri_events')::timestamp AT TIME ZONE 'UTC' AS nlri_archived_from,
             (max(x.day) FILTER (WHERE x.history = 'nlri_events') + 1)::timestamp AT TIME ZONE 'UTC' AS nlri_archived_until,
             count(*) FILTER (WHERE x.history = 'nlri_events') AS nlri_files,
             sum(x.rows) FILTER (WHERE x.history = 'nlri_events') AS nlri_rows
      FROM archives x) AS a;

COMMENT ON COLUMN history_reach.nlri_archived_from IS 'As archived_from, of the events of nlri_events.';
COMMENT ON COLUMN history_reach.nlri_archived_until IS 'As archived_until, of the events of nlri_events.';
COMMENT ON COLUMN history_reach.nlri_files IS 'As files, of the events of nlri_events.';
COMMENT ON COLUMN history_reach.nlri_rows IS 'As rows, of the events of nlri_events.';

COMMENT ON VIEW nlri_events IS 'One row per announcement and withdrawal of an NLRI of nlri_routes: route_events of the families that are not prefixes. Written where RIB_INGESTER_STORED_FAMILIES lists the family and RIB_INGESTER_HISTORY is on; kept and archived in days like route_events. Not here: routes that a dump repeats unchanged, and the routes of a table that goes as a whole (session_events).';

-- A router's latest events are read without the rest of its day.
CREATE INDEX idx_nlri_route_events_router_time ON nlri_route_events (router_id, ingest_time DESC, event_id DESC);
