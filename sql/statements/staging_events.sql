-- The table that a connection of an event writer fills by COPY when it has to check which events are already stored;
-- see staging_routes.sql.
--
-- The columns after those of route_events are the rules of that check: see store_new_events.sql.
CREATE TEMP TABLE IF NOT EXISTS staged_events (
    LIKE route_events,
    looked_from TIMESTAMPTZ NOT NULL,
    dumped_from TIMESTAMPTZ,
    is_replayed BOOLEAN NOT NULL,
    is_shared   BOOLEAN NOT NULL
) ON COMMIT DELETE ROWS;
