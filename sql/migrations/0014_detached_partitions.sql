-- What retention has taken out of route_events or route_snapshots and not dropped yet. A table is dropped for its age only if
-- its row is here: one that somebody else detached, or that is only called like a partition, is theirs.
CREATE TABLE detached_partitions (
    oid         OID         PRIMARY KEY,
    name        TEXT        NOT NULL,
    detached_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

COMMENT ON TABLE detached_partitions IS 'Partitions that maintenance detaches because their retention is over, until they are dropped. Readers need not look.';
COMMENT ON COLUMN detached_partitions.oid IS 'The table. Dropped only while this and the name agree.';
COMMENT ON COLUMN detached_partitions.name IS 'Its name when it was detached.';
COMMENT ON COLUMN detached_partitions.detached_at IS 'When maintenance began to detach it.';
