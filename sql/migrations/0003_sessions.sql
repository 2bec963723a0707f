-- Collectors, their BMP sessions and routers, and what happened to sessions, peers and tables.

CREATE TABLE collectors (
    collector_id         TEXT PRIMARY KEY,
    instance             UUID        NOT NULL,
    alive_until          TIMESTAMPTZ NOT NULL,
    started_at           TIMESTAMPTZ NOT NULL,
    version              TEXT        NOT NULL,
    host                 TEXT,
    process_id           BIGINT,
    stale_routes_secs    INTEGER,
    mass_loss_stale_secs INTEGER
) WITH (
    -- Few rows, each written every two seconds.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE collectors IS 'The heartbeat of each collector that writes to this database.';
COMMENT ON COLUMN collectors.collector_id IS 'The collector, see router_owner.';
COMMENT ON COLUMN collectors.instance IS 'The process: a new value at each start.';
COMMENT ON COLUMN collectors.alive_until IS 'The collector is alive until then, unless it moves this on: every two seconds, six seconds ahead.';
COMMENT ON COLUMN collectors.started_at IS 'When the process began its work.';
COMMENT ON COLUMN collectors.version IS 'Its version.';
COMMENT ON COLUMN collectors.host IS 'Name of the machine or container that the process runs on.';
COMMENT ON COLUMN collectors.process_id IS 'Its process number there.';
COMMENT ON COLUMN collectors.stale_routes_secs IS 'For how many seconds it keeps the routes of a router that it lost; NULL: not said.';
COMMENT ON COLUMN collectors.mass_loss_stale_secs IS 'The same where it lost most routers at once.';

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

COMMENT ON TABLE bmp_sessions IS 'One row per BMP session of an identified router, deleted a day after the session ended. A session is live while its state is dumping or up and alive_until of its collector is in the future.';
COMMENT ON COLUMN bmp_sessions.session IS 'The session.';
COMMENT ON COLUMN bmp_sessions.router_id IS 'The router.';
COMMENT ON COLUMN bmp_sessions.collector_id IS 'The collector that the router is connected to.';
COMMENT ON COLUMN bmp_sessions.source IS 'Address that the router connected from.';
COMMENT ON COLUMN bmp_sessions.state IS 'dumping, up (all dumps are complete), stale (lost, routes are kept), isolated (lost with most others), standby, ended. Live: dumping or up while collectors.alive_until is not over.';
COMMENT ON COLUMN bmp_sessions.since IS 'When it came into this state.';
COMMENT ON COLUMN bmp_sessions.reason IS 'Why, in words, where there is a reason.';

CREATE TABLE router_owner (
    router_id    TEXT PRIMARY KEY,
    collector_id TEXT        NOT NULL,
    epoch        BIGINT      NOT NULL,
    since        TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (
    -- Every write transaction takes a share lock here, which leaves a mark on the row.
    fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000
);

COMMENT ON TABLE router_owner IS 'Internal: which collector writes a router. Every write transaction checks the epoch.';
COMMENT ON COLUMN router_owner.router_id IS 'The router.';
COMMENT ON COLUMN router_owner.collector_id IS 'The collector that took it last.';
COMMENT ON COLUMN router_owner.epoch IS 'Counts the changes of collector; a collector with an older one writes nothing more.';
COMMENT ON COLUMN router_owner.since IS 'When this collector took it.';

CREATE TABLE session_events (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_time   TIMESTAMPTZ NOT NULL DEFAULT now(),
    router_id    TEXT,
    table_name   TEXT,
    peer_address INET,
    afi          SMALLINT,
    kind         TEXT        NOT NULL,
    reason       TEXT,
    routes       BIGINT
);

CREATE INDEX idx_session_events_event_time ON session_events (event_time DESC);
CREATE INDEX idx_session_events_router ON session_events (router_id, event_time DESC);
-- The past of a table begins behind its last mass removal: found for many tables at once when their dumps begin.
CREATE INDEX idx_session_events_removals ON session_events (router_id, table_name, event_time DESC)
    WHERE kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped');

COMMENT ON TABLE session_events IS 'One row per change of a session, peer or table, kept for 400 days, or as long as route_events if that is longer. Routes that go with their table are one row here and no rows of route_events. The number of each row is also sent to LISTEN rib_session, soon after it is committed.';
COMMENT ON COLUMN session_events.id IS 'Increases in the order of writing.';
COMMENT ON COLUMN session_events.event_time IS 'When it was written, by the database''s clock.';
COMMENT ON COLUMN session_events.router_id IS 'The router; NULL where the row is about none, or one that is not identified.';
COMMENT ON COLUMN session_events.table_name IS 'The table; NULL where the row is not about a single one.';
COMMENT ON COLUMN session_events.peer_address IS 'The peer, or the source address of a refused connection; NULL where the row is about neither.';
COMMENT ON COLUMN session_events.afi IS '4 or 6; NULL where the row is not about a single family.';
COMMENT ON COLUMN session_events.kind IS 'session_up, history_off, terminated, session_lost, session_closed, drift, collector_stopped, stale_expired, peer_up, peer_down, end_of_rib, eor_timeout, refused, isolated, table_full, view_dropped, gap.';
COMMENT ON COLUMN session_events.reason IS 'Why, in words for people, up to 1,000 octets; NULL where there is nothing to say.';
COMMENT ON COLUMN session_events.routes IS 'How many routes went or came with it; NULL where none are counted.';

-- The one place that decides whether a router is connected: pages, `status`, metrics and other readers ask it.
CREATE VIEW router_states AS
WITH told AS (
    SELECT r.router_id, o.collector_id, c.alive_until > now() AS owner_is_alive, c.stale_routes_secs, c.mass_loss_stale_secs,
           s.collector_id AS session_collector, s.source, s.reason,
           CASE WHEN s.state IN ('dumping', 'up') AND NOT s.is_live THEN 'no collector' ELSE s.state END AS session_state,
           CASE WHEN s.state IN ('dumping', 'up') AND NOT s.is_live THEN COALESCE(s.alive_until, s.since) ELSE s.since END AS session_since
    FROM routers r
    LEFT JOIN router_owner o USING (router_id)
    LEFT JOIN collectors c ON c.collector_id = o.collector_id
    -- A router with several sessions is dumping as long as one of them is, and connected as long as one of them is.
    LEFT JOIN LATERAL (
        SELECT b.collector_id, b.source, b.reason, b.state, b.since, bc.alive_until, (bc.alive_until > now()) IS TRUE AS is_live
        FROM bmp_sessions b LEFT JOIN collectors bc ON bc.collector_id = b.collector_id
        WHERE b.router_id = r.router_id
        ORDER BY CASE WHEN b.state = 'dumping' AND bc.alive_until > now() THEN 0 WHEN b.state = 'up' AND bc.alive_until > now() THEN 1
                      WHEN b.state = 'ended' THEN 4 WHEN b.state = 'standby' THEN 3 ELSE 2 END, b.since DESC
        LIMIT 1
    ) s ON true
)
SELECT t.router_id, t.collector_id,
       CASE WHEN t.session_state <> 'ended' THEN t.session_state WHEN kept.tables > 0 THEN 'stale' ELSE 'down' END AS state,
       CASE WHEN t.session_state <> 'ended' OR kept.tables IS NULL OR kept.tables = 0 THEN t.session_since ELSE kept.first_lost END AS since,
       CASE WHEN t.session_state <> 'ended' THEN t.session_collector END AS session_collector,
       CASE WHEN t.session_state <> 'ended' THEN t.source END AS source,
       t.reason,
       kept.first_lost AS stale_since,
       CASE WHEN t.owner_is_alive AND kept.last_lost IS NOT NULL AND t.session_state IS DISTINCT FROM 'no collector' THEN
           GREATEST(kept.last_lost + make_interval(secs => t.stale_routes_secs),
                    CASE WHEN t.session_state = 'isolated' THEN t.session_since + make_interval(secs => t.mass_loss_stale_secs) END)
       END AS expires_at
FROM told t
LEFT JOIN LATERAL (
    -- Nothing is asked about a router that is connected.
    SELECT count(*) AS tables, min(stale_since) AS first_lost, max(stale_since) AS last_lost
    FROM (SELECT stale_since FROM rib_sync_status WHERE router_id = t.router_id
          UNION ALL SELECT stale_since FROM adj_rib_in_sync_status WHERE router_id = t.router_id
          UNION ALL SELECT stale_since FROM adj_rib_out_sync_status WHERE router_id = t.router_id) AS tables
    WHERE t.session_state IS NULL OR t.session_state NOT IN ('dumping', 'up')
) kept ON true;

COMMENT ON VIEW router_states IS 'Every router and whether it is connected, by bmp_sessions and collectors.';
COMMENT ON COLUMN router_states.router_id IS 'The router: routers.router_id.';
COMMENT ON COLUMN router_states.collector_id IS 'The collector that took it last.';
COMMENT ON COLUMN router_states.state IS 'dumping, up: connected. stale, isolated (lost with most others): lost, its routes are kept. standby. no collector: the collector that has the session is not alive. down: no session, nothing is kept.';
COMMENT ON COLUMN router_states.since IS 'Start of that state; NULL where nobody knows any more.';
COMMENT ON COLUMN router_states.session_collector IS 'The collector that has or had the session; NULL where that is over.';
COMMENT ON COLUMN router_states.source IS 'Address that the session came from.';
COMMENT ON COLUMN router_states.reason IS 'Why, in words, where there is a reason.';
COMMENT ON COLUMN router_states.stale_since IS 'Since when the first of its tables has had no session; NULL while it is connected.';
COMMENT ON COLUMN router_states.expires_at IS 'When the routes that are kept are removed, unless the router comes back; NULL where it is connected, has none, or no collector that is alive owns it.';
