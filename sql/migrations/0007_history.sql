-- Functions over the history: a table as it was, what changed, what flaps.
--
-- The functions run with the rights of whoever calls them. Bodies in SQL are parsed here and now (BEGIN ATOMIC), so their
-- names mean the same tables whatever the caller's search_path says; routes_between gets its own at the end.

-- The midnight (UTC) from which on route_events are kept; NULL when there is no partition.
CREATE FUNCTION history_begin() RETURNS TIMESTAMPTZ
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT min(to_date(right(c.relname::text, 8), 'YYYYMMDD'))::timestamp AT TIME ZONE 'UTC'
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'route_events'::regclass AND NOT i.inhdetachpending
      AND c.relname::text ~ '^route_events_[0-9]{8}$';
END;

COMMENT ON FUNCTION history_begin IS 'The time from which on route_events are kept.';

-- When a table lost all its routes at once, and from when on events are about what came then. Such a removal is one row in
-- session_events and none in route_events. A session has its earlier events stored before that row is written. Where the
-- stale time ran out there was no session: whatever comes before the next one are late events of the last one.
CREATE FUNCTION table_removals(router TEXT, rib_name TEXT, since TIMESTAMPTZ, until TIMESTAMPTZ)
RETURNS TABLE (id BIGINT, removed_at TIMESTAMPTZ, events_from TIMESTAMPTZ)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT s.id, s.event_time,
           CASE WHEN s.table_name IS NULL
                THEN COALESCE((SELECT min(n.event_time) FROM session_events n
                               WHERE n.router_id = router AND n.kind = 'session_up' AND n.id > s.id), 'infinity')
                ELSE s.event_time
           END
    FROM session_events s
    WHERE s.router_id = router AND s.event_time > since AND s.event_time <= until
      AND s.peer_address IS NULL
      AND (s.table_name = rib_name AND s.kind IN ('peer_down', 'terminated', 'stale_expired')
           OR s.table_name IS NULL AND s.kind = 'stale_expired');
END;

COMMENT ON FUNCTION table_removals IS 'Internal: when a table lost all its routes at once.';

-- From which state the history of a table has to be read to know it as it was at a moment.
--
-- kind 'empty': the table was empty at events_from. 'snapshot': it was as the snapshot of `day` says, but for what
-- events say since events_from. 'unknown': nobody says what it was at events_from. 'blind': the history does not reach
-- back to the moment, or was switched off.
--
-- Routes and events are written by different threads, so that a snapshot may lack what an event shortly before it
-- says: events count from ten minutes before a snapshot on. The other way round nothing is lost, since an event that
-- comes after the snapshot is applied to it once more.
CREATE FUNCTION history_base(router TEXT, rib_name TEXT, moment TIMESTAMPTZ)
RETURNS TABLE (kind TEXT, events_from TIMESTAMPTZ, day DATE)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
    WITH switched_off AS (
        SELECT max(s.id) AS id, max(s.event_time) AS event_time
        FROM session_events s
        WHERE s.router_id = router AND s.kind = 'history_off' AND s.event_time <= moment
    ), switched_on AS (
        SELECT min(s.event_time) AS event_time
        FROM session_events s, switched_off o
        WHERE s.router_id = router AND s.kind = 'session_up' AND s.id > o.id AND s.event_time <= moment
    ), reach AS (
        -- A session without history hides everything until the next one begins.
        SELECT CASE WHEN o.id IS NULL THEN history_begin() ELSE greatest(history_begin(), u.event_time) END AS since,
               o.id IS NOT NULL AND u.event_time IS NULL AS is_off
        FROM switched_off o, switched_on u
    ), removal AS (
        SELECT max(m.removed_at) AS removed_at, max(m.events_from) AS events_from
        FROM reach r, table_removals(router, rib_name, r.since, moment) m
    ), snapshot AS (
        SELECT max(s.day) AS day, max(s.taken_at) - interval '10 minutes' AS events_from
        FROM snapshots s, reach r
        WHERE s.router_id = router AND s.table_name = rib_name AND s.taken_at <= moment
          AND s.taken_at - interval '10 minutes' >= r.since
    ), beginning AS (
        -- Whether the table was empty when the history began: the router was not known yet, or nothing had happened to
        -- it since the table's removal.
        SELECT EXISTS (SELECT FROM routers k WHERE k.router_id = router AND k.first_seen >= r.since)
               AND NOT EXISTS (SELECT FROM session_events s WHERE s.router_id = router AND s.event_time < r.since)
               OR EXISTS (SELECT
                          FROM table_removals(router, rib_name, '-infinity', r.since) m
                          WHERE NOT EXISTS (SELECT FROM session_events s
                                            WHERE s.router_id = router AND s.id > m.id AND s.event_time < r.since)) AS was_empty
        FROM reach r
    )
    SELECT CASE WHEN r.is_off OR r.since IS NULL OR r.since > moment THEN 'blind'
                WHEN m.removed_at > s.events_from OR m.removed_at IS NOT NULL AND s.day IS NULL THEN 'empty'
                WHEN s.day IS NOT NULL THEN 'snapshot'
                WHEN b.was_empty THEN 'empty'
                ELSE 'unknown'
           END,
           CASE WHEN r.is_off OR r.since IS NULL OR r.since > moment THEN 'infinity'
                ELSE greatest(r.since, m.events_from, s.events_from)
           END,
           s.day
    FROM reach r, removal m, snapshot s, beginning b;
END;

COMMENT ON FUNCTION history_base IS 'Internal: the state from which routes_as_of reads history.';

-- Whether routes_as_of knows all of a table at a moment.
--
-- Where nobody says what the table was when its history began, keys that have not changed since the moment are still
-- known: they are as they are now. Any other key without an event up to the moment may have been there or not.
--
-- A row `gap` says that input or events of the router were lost: from then on the table is not known until each family of it
-- has ended a dump again, or the whole table was removed.
CREATE FUNCTION history_is_complete(router TEXT, rib_name TEXT, moment TIMESTAMPTZ, prefixes CIDR[] DEFAULT NULL) RETURNS BOOLEAN
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
                                    AND d.kind IN ('end_of_rib', 'eor_timeout')
                                    AND d.event_time > g.event_time AND d.event_time <= moment)
                      OR EXISTS (SELECT FROM rib_sync_status t
                                 WHERE t.router_id = router AND t.table_name = rib_name
                                   AND EXISTS (SELECT FROM session_events d
                                               WHERE d.router_id = router AND d.table_name = rib_name AND d.peer_address IS NULL
                                                 AND d.afi = t.afi AND d.kind IN ('end_of_rib', 'eor_timeout')
                                                 AND d.event_time <= g.event_time)
                                   AND NOT EXISTS (SELECT FROM session_events d
                                                   WHERE d.router_id = router AND d.table_name = rib_name AND d.peer_address IS NULL
                                                     AND d.afi = t.afi AND d.kind IN ('end_of_rib', 'eor_timeout')
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

COMMENT ON FUNCTION history_is_complete IS 'True where the retained history tells all of a table as it was at a moment: then routes_as_of misses nothing.';

-- The Loc-RIB of a table as it was. Each row was there, with these attributes; `complete` says whether there is none
-- missing, and is the same in all rows.
--
-- The last event of a key up to the moment decides. Keys without one are as they were in the base state; where that is
-- not known, a row of current_routes that has not been written since the moment was there already. What is missing then
-- are keys that have changed since: if there is none, the answer is complete all the same.
--
-- `afi IN (4, 6)` holds for all rows. It lets a search by prefix go down the indexes, whose third column it is.
CREATE FUNCTION routes_as_of(router TEXT, rib_name TEXT, moment TIMESTAMPTZ, prefixes CIDR[] DEFAULT NULL)
RETURNS TABLE (afi SMALLINT, prefix CIDR, path_id BIGINT, nexthop INET, as_path TEXT, origin TEXT, localpref BIGINT,
               med BIGINT, origin_asn BIGINT, communities_std TEXT[], communities_ext TEXT[], communities_large TEXT[],
               attrs JSONB, since TIMESTAMPTZ, complete BOOLEAN)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100000
BEGIN ATOMIC
    WITH base AS MATERIALIZED (
        SELECT b.kind, b.events_from, b.day FROM history_base(router, rib_name, moment) b
    ), told AS MATERIALIZED (
        SELECT DISTINCT ON (e.afi, e.prefix, COALESCE(e.path_id, 0))
               e.afi, e.prefix, COALESCE(e.path_id, 0) AS path_id, e.action, e.nexthop, e.as_path, e.origin, e.localpref,
               e.med, e.origin_asn, e.communities_std, e.communities_ext, e.communities_large, e.attrs, e.ingest_time
        FROM route_events e
        WHERE e.router_id = router AND e.table_name = rib_name AND e.peer_address IS NULL AND e.afi IN (4, 6)
          AND e.ingest_time > (SELECT b.events_from FROM base b) AND e.ingest_time <= moment
          AND (prefixes IS NULL OR e.prefix = ANY (prefixes))
        ORDER BY e.afi, e.prefix, COALESCE(e.path_id, 0), e.ingest_time DESC
    ), before AS (
        SELECT s.afi, s.prefix, s.path_id, s.nexthop, s.as_path, s.origin, s.localpref, s.med, s.origin_asn,
               s.communities_std, s.communities_ext, s.communities_large, s.attrs, s.updated_at
        FROM route_snapshots s
        WHERE s.router_id = router AND s.table_name = rib_name
          AND s.day = (SELECT b.day FROM base b WHERE b.kind = 'snapshot')
          AND (prefixes IS NULL OR s.prefix = ANY (prefixes))
        UNION ALL
        SELECT c.afi, c.prefix, c.path_id, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.origin_asn,
               c.communities_std, c.communities_ext, c.communities_large, c.attrs, c.updated_at
        FROM current_routes c
        WHERE c.router_id = router AND c.table_name = rib_name AND c.afi IN (4, 6) AND c.updated_at <= moment
          AND (SELECT b.kind IN ('unknown', 'blind') FROM base b)
          AND (prefixes IS NULL OR c.prefix = ANY (prefixes))
    ), verdict AS MATERIALIZED (
        SELECT history_is_complete(router, rib_name, moment, prefixes) AS complete
    )
    SELECT t.afi, t.prefix, t.path_id, t.nexthop, t.as_path, t.origin, t.localpref, t.med, t.origin_asn,
           t.communities_std, t.communities_ext, t.communities_large, t.attrs, t.ingest_time, v.complete
    FROM told t, verdict v
    WHERE t.action = 'A'
    UNION ALL
    SELECT b.afi, b.prefix, b.path_id, b.nexthop, b.as_path, b.origin, b.localpref, b.med, b.origin_asn,
           b.communities_std, b.communities_ext, b.communities_large, b.attrs, b.updated_at, v.complete
    FROM before b, verdict v
    WHERE NOT EXISTS (SELECT FROM told t WHERE t.afi = b.afi AND t.prefix = b.prefix AND t.path_id = b.path_id);
END;

COMMENT ON FUNCTION routes_as_of IS 'The Loc-RIB of a table as it was at a moment; prefixes limits it to these. since is when the route was first written so; complete is false where the retained history does not tell all.';

-- The tables that have history since a moment, or on its day before it. Each is one step through the churn index.
CREATE FUNCTION history_tables(since TIMESTAMPTZ) RETURNS TABLE (router_id TEXT, table_name TEXT, afi SMALLINT)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 100
BEGIN ATOMIC
    WITH RECURSIVE found AS (
        (SELECT e.router_id, e.table_name, e.afi
         FROM route_events e
         WHERE e.ingest_time >= date_trunc('day', since, 'UTC')
         ORDER BY e.router_id, e.table_name, e.afi
         LIMIT 1)
        UNION ALL
        SELECT n.router_id, n.table_name, n.afi
        FROM found f
        CROSS JOIN LATERAL (
            SELECT e.router_id, e.table_name, e.afi
            FROM route_events e
            WHERE e.ingest_time >= date_trunc('day', since, 'UTC')
              AND (e.router_id, e.table_name, e.afi) > (f.router_id, f.table_name, f.afi)
            ORDER BY e.router_id, e.table_name, e.afi
            LIMIT 1) AS n
    )
    SELECT f.router_id, f.table_name, f.afi FROM found f;
END;

COMMENT ON FUNCTION history_tables IS 'Internal: the tables that have events since a moment.';

-- What is different between two moments, key by key: what came and went again in between is not. `before` and `after` are
-- the attributes that are not NULL.
--
-- Only prefixes with events in between are looked at, unless the table lost all its routes or its history was off.
CREATE FUNCTION routes_between(t1 TIMESTAMPTZ, t2 TIMESTAMPTZ, router TEXT DEFAULT NULL, rib_name TEXT DEFAULT NULL)
RETURNS TABLE (router_id TEXT, table_name TEXT, afi SMALLINT, prefix CIDR, path_id BIGINT, change TEXT, before JSONB,
               after JSONB, complete BOOLEAN)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10000
-- The list of prefixes decides how the history is read, so each table has a plan of its own.
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    keys     CONSTANT TEXT[] := ARRAY['afi', 'prefix', 'path_id', 'since', 'complete'];
    one      RECORD;
    changed  CIDR[];
    is_known BOOLEAN;
BEGIN
    FOR one IN
        SELECT DISTINCT k.router_id, k.table_name
        FROM (SELECT h.router_id, h.table_name FROM history_tables(t1) h
              UNION ALL SELECT s.router_id, s.table_name FROM rib_sync_status s
              UNION ALL SELECT s.router_id, s.table_name FROM snapshots s) AS k
        WHERE (router IS NULL OR k.router_id = router) AND (rib_name IS NULL OR k.table_name = rib_name)
        ORDER BY k.router_id, k.table_name
    LOOP
        IF EXISTS (SELECT FROM table_removals(one.router_id, one.table_name, t1, t2))
           OR EXISTS (SELECT FROM session_events s
                      WHERE s.router_id = one.router_id AND s.kind = 'history_off'
                        AND s.event_time > t1 AND s.event_time <= t2) THEN
            changed := NULL;
        ELSE
            SELECT array_agg(DISTINCT e.prefix) INTO changed
            FROM route_events e
            WHERE e.router_id = one.router_id AND e.table_name = one.table_name AND e.peer_address IS NULL
              AND e.ingest_time > t1 AND e.ingest_time <= t2;
            CONTINUE WHEN changed IS NULL;
        END IF;
        is_known := history_is_complete(one.router_id, one.table_name, t1, changed)
                AND history_is_complete(one.router_id, one.table_name, t2, changed);
        RETURN QUERY
            SELECT one.router_id, one.table_name, COALESCE(b.afi, a.afi), COALESCE(b.prefix, a.prefix),
                   COALESCE(b.path_id, a.path_id),
                   CASE WHEN b.attributes IS NULL THEN 'added' WHEN a.attributes IS NULL THEN 'removed' ELSE 'changed' END,
                   b.attributes, a.attributes, is_known
            FROM (SELECT r.afi, r.prefix, r.path_id, jsonb_strip_nulls(to_jsonb(r) - keys) AS attributes
                  FROM routes_as_of(one.router_id, one.table_name, t1, changed) r) AS b
            FULL JOIN (SELECT r.afi, r.prefix, r.path_id, jsonb_strip_nulls(to_jsonb(r) - keys) AS attributes
                       FROM routes_as_of(one.router_id, one.table_name, t2, changed) r) AS a
                ON a.afi = b.afi AND a.prefix = b.prefix AND a.path_id = b.path_id
            WHERE b.attributes IS DISTINCT FROM a.attributes;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION routes_between IS 'The difference between two moments: change is added, removed or changed, before and after are the attributes as JSON. Of one table, of a router, or of all.';

-- What comes and goes. A flap is a withdrawal and the route's return; a change is an announcement with other attributes.
-- Removals of whole tables, routes that a new dump did not name and those that were read by mistake are no flaps: not the
-- route is at fault.
CREATE FUNCTION flap_report(span INTERVAL DEFAULT '1 hour')
RETURNS TABLE (router_id TEXT, table_name TEXT, afi SMALLINT, prefix CIDR, path_id BIGINT, flaps BIGINT, changes BIGINT,
               announces BIGINT, withdraws BIGINT, first_event TIMESTAMPTZ, last_event TIMESTAMPTZ, last_action TEXT)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
BEGIN ATOMIC
    WITH told AS (
        SELECT t.router_id, t.table_name, t.afi, e.prefix, COALESCE(e.path_id, 0) AS path_id, e.action, e.ingest_time,
               e.attrs @> '{"reason": "stale"}' OR e.attrs @> '{"reason": "reread"}' AS is_stale,
               ROW (e.nexthop, e.as_path, e.origin, e.localpref, e.med, e.communities_std, e.communities_ext,
                    e.communities_large, e.attrs) AS attributes
        FROM history_tables(now() - span) t
        JOIN route_events e ON e.router_id = t.router_id AND e.table_name = t.table_name AND e.afi = t.afi
        WHERE e.ingest_time > now() - span AND e.peer_address IS NULL
    ), followed AS (
        SELECT t.router_id, t.table_name, t.afi, t.prefix, t.path_id, t.action, t.ingest_time,
               t.action = 'A' AND lag(t.action) OVER w = 'D' AND lag(t.is_stale) OVER w IS NOT TRUE AS is_flap,
               t.action = 'A' AND lag(t.action) OVER w = 'A' AND lag(t.attributes) OVER w IS DISTINCT FROM t.attributes AS is_change
        FROM told t
        WINDOW w AS (PARTITION BY t.router_id, t.table_name, t.afi, t.prefix, t.path_id ORDER BY t.ingest_time)
    )
    SELECT f.router_id, f.table_name, f.afi, f.prefix, f.path_id,
           count(*) FILTER (WHERE f.is_flap), count(*) FILTER (WHERE f.is_change),
           count(*) FILTER (WHERE f.action = 'A'), count(*) FILTER (WHERE f.action = 'D'),
           min(f.ingest_time), max(f.ingest_time), (array_agg(f.action::text ORDER BY f.ingest_time DESC))[1]
    FROM followed f
    GROUP BY f.router_id, f.table_name, f.afi, f.prefix, f.path_id
    HAVING bool_or(f.is_flap OR f.is_change)
    ORDER BY count(*) FILTER (WHERE f.is_flap) DESC, count(*) FILTER (WHERE f.is_change) DESC, count(*) DESC,
             f.router_id, f.table_name, f.prefix, f.path_id;
END;

COMMENT ON FUNCTION flap_report IS 'Loc-RIB routes that flapped or changed within a span up to now, the worst first. A flap is a withdrawal and the route''s return.';

-- The schema that this migration runs in, whichever that is.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION routes_between SET search_path = pg_catalog, %I, pg_temp', current_schema());
END;
$$;
