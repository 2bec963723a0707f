-- What an event writer fills by COPY when it has to check which events are stored already. Each commit empties it.
CREATE TEMP TABLE staged_events (LIKE route_events) ON COMMIT DELETE ROWS;
