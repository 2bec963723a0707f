-- The same as staging_events.sql for nlri_route_events. Its key finds the announcements of an NLRI in the batch.
CREATE TEMP TABLE IF NOT EXISTS staged_nlri_events (
    LIKE nlri_route_events,
    looked_from TIMESTAMPTZ NOT NULL,
    dumped_from TIMESTAMPTZ,
    is_replayed BOOLEAN NOT NULL,
    is_shared   BOOLEAN NOT NULL,
    UNIQUE (router_id, prefix, action, ingest_time, event_id)
) ON COMMIT DELETE ROWS;
