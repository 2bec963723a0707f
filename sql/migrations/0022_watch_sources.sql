-- Watches that the collector keeps for other schemas are looked for each second.
CREATE INDEX idx_watches_source ON watch.watches (source) WHERE source <> 'manual';

COMMENT ON TABLE route_counts IS 'The number of routes of each table now, written in the transaction that writes or deletes the routes. A table without a row has none. Rows that somebody else inserts or deletes by hand are not counted until maintenance compares the sums of their router with its routes and corrects them: once a day, or at `rib-ingester maintenance`.';
