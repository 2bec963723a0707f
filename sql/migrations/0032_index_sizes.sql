-- The smallest sizes that indexes of routes have had, so that maintenance sees which have outgrown their rows.

CREATE TABLE index_sizes (
    name     TEXT        PRIMARY KEY,
    bytes    BIGINT      NOT NULL,
    rows     BIGINT      NOT NULL,
    noted_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    tried_at TIMESTAMPTZ
);

COMMENT ON TABLE index_sizes IS 'Internal: the smallest size for its number of rows that each index of current_routes, adj_rib_in and adj_rib_out has had since maintenance rebuilt it.';
COMMENT ON COLUMN index_sizes.name IS 'The index.';
COMMENT ON COLUMN index_sizes.bytes IS 'Its size then.';
COMMENT ON COLUMN index_sizes.rows IS 'The rows of its table then.';
COMMENT ON COLUMN index_sizes.noted_at IS 'When that was.';
COMMENT ON COLUMN index_sizes.tried_at IS 'When maintenance last began to rebuild it; NULL where it never has.';
