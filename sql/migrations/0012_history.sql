-- The past of a table begins behind its last mass removal: found for many tables at once when their dumps begin.

CREATE INDEX idx_session_events_removals ON session_events (router_id, table_name, event_time DESC)
    WHERE kind IN ('peer_down', 'terminated', 'hold_expired', 'view_dropped');

-- Whether routes_as_of knows all of a table at a moment.
--
-- Where nobody says what the table was when its history began, keys that have not changed since the moment are still
-- known: they are as they are now. Any other key without an event up to the moment may have been there or not.
--
-- A row `gap` says that input or events of the router were lost: from then on the table is not known until each family of it
-- has ended a dump again, or the whole table was removed.
CREATE OR REPLACE FUNCTION history_is_complete(router TEXT, rib_name TEXT, moment TIMESTAMPTZ, prefixes CIDR[] DEFAULT NULL) RETURNS BOOLEAN
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE
           WHEN b.kind = 'blind' THEN false
           WHEN EXISTS (
               SELECT FROM session_events g
               WHERE g.router_id = router AND g.kind = 'gap' AND g.event_time <= moment
                 AND (b.kind <> 'empty' OR g.event_time >= b.events_from)
                 AND (NOT EXISTS (SELECT FROM session_events d
                                  WHERE d.router_id = router AND d.table_name = rib_name AND d.peer_address IS NULL
                                    AND d.kind IN ('end_of_rib', 'resync_quiet')
                                    AND d.event_time > g.event_time AND d.event_time <= moment)
                      OR EXISTS (SELECT FROM rib_sync_status t
                                 WHERE t.router_id = router AND t.table_name = rib_name
                                   AND EXISTS (SELECT FROM session_events d
                                               WHERE d.router_id = router AND d.table_name = rib_name AND d.peer_address IS NULL
                                                 AND d.afi = t.afi AND d.kind IN ('end_of_rib', 'resync_quiet')
                                                 AND d.event_time <= g.event_time)
                                   AND NOT EXISTS (SELECT FROM session_events d
                                                   WHERE d.router_id = router AND d.table_name = rib_name AND d.peer_address IS NULL
                                                     AND d.afi = t.afi AND d.kind IN ('end_of_rib', 'resync_quiet')
                                                     AND d.event_time > g.event_time AND d.event_time <= moment)))
           ) THEN false
           WHEN b.kind = 'unknown' THEN
               NOT EXISTS (SELECT FROM table_removals(router, rib_name, moment, 'infinity'))
               AND NOT EXISTS (SELECT FROM session_events s
                               WHERE s.router_id = router AND s.kind = 'history_off' AND s.event_time > moment)
               AND NOT EXISTS (
                   SELECT FROM route_events e
                   WHERE e.router_id = router AND e.table_name = rib_name AND e.peer_address IS NULL AND e.afi IN (4, 6) AND e.ingest_time > moment
                     AND (prefixes IS NULL OR e.prefix = ANY (prefixes))
                     AND NOT EXISTS (SELECT FROM route_events t
                                     WHERE t.router_id = router AND t.table_name = rib_name AND t.peer_address IS NULL AND t.afi = e.afi
                                       AND t.prefix = e.prefix AND COALESCE(t.path_id, 0) = COALESCE(e.path_id, 0)
                                       AND t.ingest_time > b.events_from AND t.ingest_time <= moment)
                     AND NOT EXISTS (SELECT FROM current_routes c
                                     WHERE c.router_id = router AND c.table_name = rib_name AND c.afi = e.afi
                                       AND c.prefix = e.prefix AND c.path_id = COALESCE(e.path_id, 0)
                                       AND c.updated_at <= moment))
           ELSE true
           END
    FROM history_base(router, rib_name, moment) b;
END;
