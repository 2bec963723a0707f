-- Words that readers see, before the first release: stale is RFC 4724's word for the routes of a lost session, and a dump
-- without an End-of-RIB (RFC 4724 section 2) ends by a time-out.

UPDATE session_events
SET kind = CASE kind WHEN 'hold_expired' THEN 'stale_expired' ELSE 'eor_timeout' END
WHERE kind IN ('hold_expired', 'resync_quiet');

DROP INDEX idx_session_events_removals;
CREATE INDEX idx_session_events_removals ON session_events (router_id, table_name, event_time DESC)
    WHERE kind IN ('peer_down', 'terminated', 'stale_expired', 'view_dropped');

DO $$
DECLARE
    one RECORD;
BEGIN
    FOR one IN
        SELECT pg_get_functiondef(p.oid) AS definition
        FROM pg_proc p
        WHERE p.pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND p.prokind = 'f'
          AND pg_get_functiondef(p.oid) ~ 'hold_expired|resync_quiet'
    LOOP
        EXECUTE replace(replace(one.definition, 'hold_expired', 'stale_expired'), 'resync_quiet', 'eor_timeout');
    END LOOP;
    EXECUTE format('COMMENT ON COLUMN session_events.kind IS %L',
        replace(replace(col_description('session_events'::regclass, (SELECT attnum FROM pg_attribute
            WHERE attrelid = 'session_events'::regclass AND attname = 'kind')),
            'hold_expired', 'stale_expired'), 'resync_quiet', 'eor_timeout'));
END;
$$;

COMMENT ON COLUMN table_names.safi IS 'Which part: 1 unicast, 4 labeled unicast, 128 VPN.';
COMMENT ON COLUMN routers_overview.sync_updated_at IS 'When the state of any RIB last changed in its sync table.';

DO $$
DECLARE
    rib TEXT;
BEGIN
    FOREACH rib IN ARRAY ARRAY['adj_rib_in', 'adj_rib_out'] LOOP
        EXECUTE format('COMMENT ON COLUMN %I.table_name IS %L', rib,
            'UNKNOWN, or the VRF: its name, or rd:<distinguisher>. |rd:<distinguisher> holds VPN routes, |labelled those of labeled unicast, |as:<number> a second peer at one address. See table_names.');
    END LOOP;
END;
$$;

COMMENT ON TABLE rib_sync_status IS 'How complete each Loc-RIB table is, by family. The row is made with the table and deleted with it. A table that has been stale for RIB_INGESTER_STALE_ROUTES_SECS is deleted.';
