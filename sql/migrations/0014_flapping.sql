-- How often watched routes change, counted by the collectors for the condition flapping, and where a changed watch is
-- still to be judged for the first time.

CREATE TABLE watch.flap_counts (
    router_id    TEXT        NOT NULL,
    table_name   TEXT        NOT NULL,
    rib          TEXT        NOT NULL CHECK (rib IN ('loc-rib', 'adj-rib-in-pre', 'adj-rib-in-post')),
    peer_address INET,
    prefix       CIDR        NOT NULL,
    minute       TIMESTAMPTZ NOT NULL,
    as_path      TEXT,
    announced    INTEGER     NOT NULL,
    withdrawn    INTEGER     NOT NULL,
    CONSTRAINT flap_counts_key UNIQUE NULLS NOT DISTINCT (prefix, minute, router_id, table_name, rib, peer_address, as_path)
) WITH (
    -- Rows are updated each second of their minute, and live for a quarter of an hour.
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.1
);

CREATE INDEX idx_flap_counts_minute ON watch.flap_counts (minute);

COMMENT ON TABLE watch.flap_counts IS 'Internal: how often the routes of watches that judge flapping came, went, or changed AS path or next hop. Kept for as long as a watch looks back.';
COMMENT ON COLUMN watch.flap_counts.router_id IS 'The router.';
COMMENT ON COLUMN watch.flap_counts.table_name IS 'Its table.';
COMMENT ON COLUMN watch.flap_counts.rib IS 'loc-rib, adj-rib-in-pre, adj-rib-in-post.';
COMMENT ON COLUMN watch.flap_counts.peer_address IS 'The peer of an Adj-RIB-In.';
COMMENT ON COLUMN watch.flap_counts.prefix IS 'The prefix, exactly that of a watch.';
COMMENT ON COLUMN watch.flap_counts.minute IS 'The minute in which the messages arrived.';
COMMENT ON COLUMN watch.flap_counts.as_path IS 'The AS path that came or went; NULL: not known, or one of many.';
COMMENT ON COLUMN watch.flap_counts.announced IS 'How often the route came, or changed to this AS path or to another next hop.';
COMMENT ON COLUMN watch.flap_counts.withdrawn IS 'How often the route was withdrawn.';

ALTER TABLE watch.judged ADD COLUMN unsettled TEXT[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN watch.judged.unsettled IS 'Routers that were not settled when this version was judged first: what fails at their first judgement is a baseline too.';

-- Old incidents are deleted with what refers to them.
CREATE INDEX idx_deliveries_event_only ON watch.deliveries (incident_event_id) WHERE incident_event_id IS NOT NULL;
CREATE INDEX idx_incidents_silence ON watch.incidents (silence_id) WHERE silence_id IS NOT NULL;
