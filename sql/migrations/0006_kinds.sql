-- Every kind of row that session_events has.

COMMENT ON COLUMN session_events.kind IS 'session_up, history_off, terminated, session_lost, session_closed, drift, collector_stopped, hold_expired, peer_up, peer_down, end_of_rib, resync_quiet, refused, isolated, table_full, view_dropped, gap.';
