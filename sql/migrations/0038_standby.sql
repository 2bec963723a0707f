-- How far a session that stands by has followed its router.

ALTER TABLE bmp_sessions
    ADD COLUMN heard_until    TIMESTAMPTZ,
    ADD COLUMN lag_secs       DOUBLE PRECISION,
    ADD COLUMN waiting_octets BIGINT;

COMMENT ON COLUMN bmp_sessions.state IS 'dumping, up (all dumps are complete), stale (lost, routes are kept), isolated (lost with most others), standby (another collector has the router; this session follows it in memory and stores nothing), ended. Live: dumping or up while collectors.alive_until is not over.';
COMMENT ON COLUMN bmp_sessions.heard_until IS 'Of a standby: when its latest message was read, by the collector''s clock; written every ten seconds at most. NULL for other sessions, and for one that keeps nothing (RIB_INGESTER_STANDBY_WINDOW_SECS=0).';
COMMENT ON COLUMN bmp_sessions.lag_secs IS 'Of a standby: the age of the oldest message that it has read and not applied; 0 if it has applied all. Written when it changes by a second.';
COMMENT ON COLUMN bmp_sessions.waiting_octets IS 'Of a standby: the octets of messages that it has read and not applied.';
