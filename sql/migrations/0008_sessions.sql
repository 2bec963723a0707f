-- Who is connected, and how far each table is. A table is synchronised when its dump counts as complete, by End-of-RIB or by quiet
-- (synced_at), and stale since no session speaks of it (stale_since).

CREATE TABLE collectors (
    collector_id TEXT PRIMARY KEY,
    instance     UUID        NOT NULL,
    alive_until  TIMESTAMPTZ NOT NULL,
    started_at   TIMESTAMPTZ NOT NULL,
    version      TEXT        NOT NULL
) WITH (
    -- Few rows, each written every two seconds.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE collectors IS 'The heartbeat of each collector that writes this database.';
COMMENT ON COLUMN collectors.collector_id IS 'The collector, see router_owner.';
COMMENT ON COLUMN collectors.instance IS 'The process: a new value at each start.';
COMMENT ON COLUMN collectors.alive_until IS 'The collector is alive until then, unless it moves this on: every two seconds, six seconds ahead.';
COMMENT ON COLUMN collectors.started_at IS 'When the process began its work.';
COMMENT ON COLUMN collectors.version IS 'Its version.';

CREATE TABLE bmp_sessions (
    session      UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    router_id    TEXT        NOT NULL,
    collector_id TEXT        NOT NULL,
    source       INET,
    state        TEXT        NOT NULL CHECK (state IN ('dumping', 'up', 'stale', 'isolated', 'standby', 'ended')),
    since        TIMESTAMPTZ NOT NULL DEFAULT now(),
    reason       TEXT
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX idx_bmp_sessions_router ON bmp_sessions (router_id);
CREATE INDEX idx_bmp_sessions_collector ON bmp_sessions (collector_id) WHERE state <> 'ended';

COMMENT ON TABLE bmp_sessions IS 'BMP sessions of routers that are known by name: one row each, until a day after its end.';
COMMENT ON COLUMN bmp_sessions.session IS 'The session.';
COMMENT ON COLUMN bmp_sessions.router_id IS 'The router.';
COMMENT ON COLUMN bmp_sessions.collector_id IS 'The collector that the router is connected to.';
COMMENT ON COLUMN bmp_sessions.source IS 'Address that the router connected from.';
COMMENT ON COLUMN bmp_sessions.state IS 'dumping, up (all dumps are complete), stale (lost, routes are kept), isolated (lost with most others), standby, ended. Live: dumping or up while collectors.alive_until is not over.';
COMMENT ON COLUMN bmp_sessions.since IS 'When it came into this state.';
COMMENT ON COLUMN bmp_sessions.reason IS 'Why, in words, where there is a reason.';

DO $make$
DECLARE
    sync TEXT;
BEGIN
FOREACH sync IN ARRAY ARRAY['rib_sync_status', 'adj_rib_in_sync_status', 'adj_rib_out_sync_status'] LOOP
    EXECUTE format('ALTER TABLE %I ADD COLUMN synced_at TIMESTAMPTZ, ADD COLUMN stale_since TIMESTAMPTZ', sync);
    EXECUTE format('COMMENT ON COLUMN %I.synced_at IS %L', sync,
        'When the dump counted as complete, by End-of-RIB or by quiet; NULL until then and while the table is stale.');
    EXECUTE format('COMMENT ON COLUMN %I.stale_since IS %L', sync,
        'Since when no session speaks of the table; NULL while one does. A later loss does not move it.');
    -- What is stored counts from now: no session of an earlier version has said when it lost the table.
    EXECUTE format('UPDATE %I SET stale_since = now()', sync);
END LOOP;
END $make$;

COMMENT ON COLUMN router_owner.epoch IS 'Counts the changes of collector; a collector with an older one writes nothing more.';
COMMENT ON COLUMN router_owner.since IS 'When this collector took it.';
