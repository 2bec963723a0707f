-- The past of a table begins behind its last mass removal: found for many tables at once when their dumps begin.

CREATE INDEX idx_session_events_removals ON session_events (router_id, table_name, event_time DESC)
    WHERE kind IN ('peer_down', 'terminated', 'hold_expired', 'view_dropped');
