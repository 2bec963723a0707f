-- What an event writer fills by COPY when it has to check which events are stored already. Each commit empties it.
--
-- The columns behind those of route_events say by what: see store_new_events.sql.
CREATE TEMP TABLE staged_events (
    LIKE route_events,
    looked_from TIMESTAMPTZ NOT NULL,
    dumped_from TIMESTAMPTZ,
    is_replayed BOOLEAN NOT NULL,
    is_shared   BOOLEAN NOT NULL
) ON COMMIT DELETE ROWS;
