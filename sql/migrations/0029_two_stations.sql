-- Two stations of one router: the collector that has it, and those that stand by.

ALTER TABLE router_owner
    ADD COLUMN handed_to    TEXT,
    ADD COLUMN handed_until TIMESTAMPTZ;

COMMENT ON TABLE router_owner IS 'Internal: which collector writes a router. Every write transaction checks the epoch. It changes when another collector claims the router: when collectors.alive_until of the owner is over, when the owner has no live session of it any more, or when it is handed over.';
COMMENT ON COLUMN router_owner.collector_id IS 'The collector that has it. Others that have a session of it stand by.';
COMMENT ON COLUMN router_owner.handed_to IS 'The collector that is to take it, by rib-ingester hand-over; NULL otherwise.';
COMMENT ON COLUMN router_owner.handed_until IS 'Until when that holds.';

COMMENT ON COLUMN collectors.alive_until IS 'The collector is alive until then, unless it moves this on: every two seconds, six seconds ahead. It is its lease of all its routers: once it is over, another collector may take them.';
COMMENT ON COLUMN bmp_sessions.state IS 'dumping, up (all dumps are complete), stale (lost, routes are kept), isolated (lost with most others), standby (another collector has the router; nothing of this session is stored), ended. Live: dumping or up while collectors.alive_until is not over.';
COMMENT ON COLUMN router_states.collector_id IS 'The collector that has it, see router_owner.';
COMMENT ON COLUMN router_states.state IS 'dumping, up: connected. stale, isolated (lost with most others): lost, its routes are kept. standby: connected to a collector that does not have it, and to no other. no collector: the collector that has the session is not alive. down: no session, nothing is kept.';
