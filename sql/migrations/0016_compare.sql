-- What is different: between two routers, before and after a peer's policy, between two times; and the state of routers
-- before planned work.
--
-- A prefix is compared by the set of its paths, whatever their path identifiers: RFC 7911 section 3 gives these no meaning
-- outside of one BGP session. Communities are sets too.

-- What a path is compared by: all attributes, with neither its key nor its times.
CREATE TYPE route_path AS (
    nexthop           INET,
    as_path           TEXT,
    origin            TEXT,
    localpref         BIGINT,
    med               BIGINT,
    communities_std   TEXT[],
    communities_ext   TEXT[],
    communities_large TEXT[],
    attrs             JSONB
);

COMMENT ON TYPE route_path IS 'The attributes of a route, as in current_routes.';

CREATE FUNCTION path_set(paths route_path[]) RETURNS route_path[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT array_agg(DISTINCT one.path ORDER BY one.path)
    FROM (SELECT ROW(p.nexthop, p.as_path, p.origin, p.localpref, p.med,
                     (SELECT array_agg(DISTINCT c ORDER BY c) FROM unnest(p.communities_std) c),
                     (SELECT array_agg(DISTINCT c ORDER BY c) FROM unnest(p.communities_ext) c),
                     (SELECT array_agg(DISTINCT c ORDER BY c) FROM unnest(p.communities_large) c),
                     p.attrs)::route_path AS path
          FROM unnest(paths) p) AS one;
END;

COMMENT ON FUNCTION path_set IS 'Internal: paths as a set, each once, in an order of its own.';

CREATE FUNCTION path_set_json(paths route_path[]) RETURNS JSONB
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT COALESCE(jsonb_agg(jsonb_strip_nulls(to_jsonb(p))), '[]') FROM unnest(path_set(paths)) p;
END;

COMMENT ON FUNCTION path_set_json IS 'Internal: paths as JSON, what is NULL left out.';

-- Of paths that are on one side only, the attributes that have other values there than on the other side. Where only the
-- number of paths differs, or which values go together, there is none.
CREATE FUNCTION path_set_attributes(one route_path[], other route_path[]) RETURNS TEXT[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH ones AS (
        SELECT to_jsonb(p) - 'attrs' || COALESCE(p.attrs, '{}') AS path
        FROM (SELECT * FROM unnest(path_set(one)) EXCEPT SELECT * FROM unnest(path_set(other))) p
    ), others AS (
        SELECT to_jsonb(p) - 'attrs' || COALESCE(p.attrs, '{}') AS path
        FROM (SELECT * FROM unnest(path_set(other)) EXCEPT SELECT * FROM unnest(path_set(one))) p
    ), names AS (
        SELECT DISTINCT name FROM (SELECT path FROM ones UNION ALL SELECT path FROM others) p, jsonb_object_keys(p.path) AS name
        WHERE EXISTS (SELECT FROM ones) AND EXISTS (SELECT FROM others)
    )
    SELECT COALESCE(array_agg(n.name ORDER BY n.name), '{}')
    FROM names n
    WHERE (SELECT array_agg(DISTINCT path -> n.name) FROM ones) IS DISTINCT FROM (SELECT array_agg(DISTINCT path -> n.name) FROM others);
END;

COMMENT ON FUNCTION path_set_attributes IS 'Internal: the attributes in which two sets of paths differ; none where only their number differs, or which values go together.';

-- A path without what is ignored. It is inlined, and what is ignored is a constant in the plan: the CASEs cost nothing.
CREATE FUNCTION compared_path(ignored TEXT[], nexthop INET, as_path TEXT, origin TEXT, localpref BIGINT, med BIGINT,
                              communities_std TEXT[], communities_ext TEXT[], communities_large TEXT[], attrs JSONB)
RETURNS route_path
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ROW(CASE WHEN 'nexthop' = ANY (ignored) THEN NULL ELSE nexthop END,
           CASE WHEN 'as_path' = ANY (ignored) THEN NULL ELSE as_path END,
           CASE WHEN 'origin' = ANY (ignored) THEN NULL ELSE origin END,
           CASE WHEN 'localpref' = ANY (ignored) THEN NULL ELSE localpref END,
           CASE WHEN 'med' = ANY (ignored) THEN NULL ELSE med END,
           CASE WHEN ignored && '{communities,communities_std}' THEN NULL ELSE communities_std END,
           CASE WHEN ignored && '{communities,communities_ext}' THEN NULL ELSE communities_ext END,
           CASE WHEN ignored && '{communities,communities_large}' THEN NULL ELSE communities_large END,
           CASE WHEN 'attrs' = ANY (ignored) THEN NULL WHEN ignored = '{}' THEN attrs
                ELSE NULLIF(attrs - ignored, '{}') END)::route_path;

COMMENT ON FUNCTION compared_path IS 'Internal: a path as it is compared, what is ignored left out.';

-- Both sides are read in the order of an index and joined as a whole. A first look compares the paths as they were sent, so
-- that sets are made only of what is not equal anyway.
CREATE FUNCTION routes_diff(router_a TEXT, table_a TEXT, router_b TEXT, table_b TEXT, ignored TEXT[] DEFAULT '{}', inside CIDR DEFAULT NULL)
RETURNS TABLE (afi SMALLINT, prefix CIDR, difference TEXT, attributes TEXT[], a JSONB, b JSONB)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT COALESCE(a.afi, b.afi), COALESCE(a.prefix, b.prefix),
           CASE WHEN b.paths IS NULL THEN 'only_a' WHEN a.paths IS NULL THEN 'only_b' ELSE 'paths' END,
           path_set_attributes(a.paths, b.paths), path_set_json(a.paths), path_set_json(b.paths)
    FROM (SELECT c.afi, c.prefix,
                 array_agg(compared_path(ignored, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std,
                                         c.communities_ext, c.communities_large, c.attrs)) AS paths
          FROM current_routes c
          WHERE c.router_id = router_a AND c.table_name = table_a AND c.afi IN (4, 6) AND (inside IS NULL OR c.prefix <<= inside)
          GROUP BY c.afi, c.prefix) AS a
    FULL JOIN (SELECT c.afi, c.prefix,
                 array_agg(compared_path(ignored, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std,
                                         c.communities_ext, c.communities_large, c.attrs)) AS paths
          FROM current_routes c
          WHERE c.router_id = router_b AND c.table_name = table_b AND c.afi IN (4, 6) AND (inside IS NULL OR c.prefix <<= inside)
          GROUP BY c.afi, c.prefix) AS b
        ON b.afi = a.afi AND b.prefix = a.prefix
    WHERE a.paths IS DISTINCT FROM b.paths
      AND (a.paths IS NULL OR b.paths IS NULL OR path_set(a.paths) IS DISTINCT FROM path_set(b.paths));
END;

COMMENT ON FUNCTION routes_diff IS 'Prefixes whose paths differ between two Loc-RIB tables: difference is only_a, only_b or paths; attributes are those that differ. ignored names columns, communities (all three), attrs, or attributes in attrs; inside limits it to prefixes within one. Whether the tables are complete is in rib_sync_status.';

CREATE FUNCTION policy_diff(router TEXT, peer INET, ignored TEXT[] DEFAULT '{}', inside CIDR DEFAULT NULL)
RETURNS TABLE (table_name TEXT, afi SMALLINT, prefix CIDR, difference TEXT, attributes TEXT[], before JSONB, after JSONB)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10000
BEGIN ATOMIC
    SELECT COALESCE(a.table_name, b.table_name), COALESCE(a.afi, b.afi), COALESCE(a.prefix, b.prefix),
           CASE WHEN b.paths IS NULL THEN 'dropped' WHEN a.paths IS NULL THEN 'added' ELSE 'changed' END,
           path_set_attributes(a.paths, b.paths), path_set_json(a.paths), path_set_json(b.paths)
    FROM (SELECT c.table_name, c.afi, c.prefix,
                 array_agg(compared_path(ignored, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std,
                                         c.communities_ext, c.communities_large, c.attrs)) AS paths
          FROM adj_rib_in c
          WHERE c.router_id = router AND c.peer_address = peer AND NOT c.is_post_policy AND (inside IS NULL OR c.prefix <<= inside)
          GROUP BY c.table_name, c.afi, c.prefix) AS a
    FULL JOIN (SELECT c.table_name, c.afi, c.prefix,
                 array_agg(compared_path(ignored, c.nexthop, c.as_path, c.origin, c.localpref, c.med, c.communities_std,
                                         c.communities_ext, c.communities_large, c.attrs)) AS paths
          FROM adj_rib_in c
          WHERE c.router_id = router AND c.peer_address = peer AND c.is_post_policy AND (inside IS NULL OR c.prefix <<= inside)
          GROUP BY c.table_name, c.afi, c.prefix) AS b
        ON b.table_name = a.table_name AND b.afi = a.afi AND b.prefix = a.prefix
    WHERE a.paths IS DISTINCT FROM b.paths
      AND (a.paths IS NULL OR b.paths IS NULL OR path_set(a.paths) IS DISTINCT FROM path_set(b.paths));
END;

COMMENT ON FUNCTION policy_diff IS 'What a router''s import policy does to the routes of a peer: prefixes of its Adj-RIB-In that are dropped, changed or added between the view before policy and the one after it. ignored and inside as for routes_diff. Only where both views are stored.';

-- routes_between goes by path identifiers; this one by sets of paths, which a new BGP session does not change.
CREATE FUNCTION prefixes_between(t1 TIMESTAMPTZ, t2 TIMESTAMPTZ, router TEXT, rib_name TEXT, ignored TEXT[] DEFAULT '{}', inside CIDR DEFAULT NULL)
RETURNS TABLE (afi SMALLINT, prefix CIDR, difference TEXT, attributes TEXT[], before JSONB, after JSONB)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10000
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    changed CIDR[] := changed_prefixes(t1, t2, router, rib_name, inside);
BEGIN
    IF changed = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
        WITH paths AS (
            SELECT m.is_before, r.afi, r.prefix,
                   array_agg(compared_path(ignored, r.nexthop, r.as_path, r.origin, r.localpref, r.med, r.communities_std,
                                         r.communities_ext, r.communities_large, r.attrs)) AS paths
            FROM (SELECT true AS is_before, * FROM routes_as_of(router, rib_name, t1, changed)
                  UNION ALL
                  SELECT false, * FROM routes_as_of(router, rib_name, t2, changed)) AS r,
                 LATERAL (SELECT r.is_before) AS m
            WHERE inside IS NULL OR r.prefix <<= inside
            GROUP BY m.is_before, r.afi, r.prefix
        )
        SELECT COALESCE(b.afi, a.afi), COALESCE(b.prefix, a.prefix),
               CASE WHEN b.paths IS NULL THEN 'added' WHEN a.paths IS NULL THEN 'gone' ELSE 'changed' END,
               path_set_attributes(b.paths, a.paths), path_set_json(b.paths), path_set_json(a.paths)
        FROM (SELECT * FROM paths WHERE is_before) AS b
        FULL JOIN (SELECT * FROM paths WHERE NOT is_before) AS a ON a.afi = b.afi AND a.prefix = b.prefix
        WHERE b.paths IS DISTINCT FROM a.paths
          AND (b.paths IS NULL OR a.paths IS NULL OR path_set(b.paths) IS DISTINCT FROM path_set(a.paths));
END;
$$;

COMMENT ON FUNCTION prefixes_between IS 'Prefixes of a Loc-RIB table whose sets of paths differ between two moments: difference is added, gone or changed. ignored and inside as for routes_diff. Whether the history tells all: history_is_complete at both moments.';

CREATE FUNCTION changed_prefixes(t1 TIMESTAMPTZ, t2 TIMESTAMPTZ, router TEXT, rib_name TEXT, inside CIDR DEFAULT NULL) RETURNS CIDR[]
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN EXISTS (SELECT FROM table_removals(router, rib_name, t1, t2))
                  OR EXISTS (SELECT FROM session_events s
                             WHERE s.router_id = router AND s.kind = 'history_off' AND s.event_time > t1 AND s.event_time <= t2)
                THEN NULL
                ELSE COALESCE((SELECT array_agg(DISTINCT e.prefix)
                               FROM route_events e
                               WHERE e.router_id = router AND e.table_name = rib_name AND e.peer_address IS NULL
                                 AND e.ingest_time > t1 AND e.ingest_time <= t2 AND (inside IS NULL OR e.prefix <<= inside)), '{}')
           END;
END;

COMMENT ON FUNCTION changed_prefixes IS 'Internal: prefixes that have events between two moments; NULL: any may have changed.';

-- The schema that this migration runs in, whichever that is.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION prefixes_between SET search_path = pg_catalog, %I, pg_temp', current_schema());
END;
$$;

CREATE TABLE watch.change_windows (
    name     TEXT        PRIMARY KEY CHECK (name ~ '^[^[:cntrl:]]{1,128}$'),
    begun_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ended_at TIMESTAMPTZ,
    scope    TEXT[]      NOT NULL,
    state    JSONB       NOT NULL
);

COMMENT ON TABLE watch.change_windows IS 'Planned changes, each with the state of its routers from before it.';
COMMENT ON COLUMN watch.change_windows.name IS 'Its name.';
COMMENT ON COLUMN watch.change_windows.begun_at IS 'When it began: when the state was copied.';
COMMENT ON COLUMN watch.change_windows.ended_at IS 'When it ended; NULL: it has not.';
COMMENT ON COLUMN watch.change_windows.scope IS 'The routers: routers.router_id.';
COMMENT ON COLUMN watch.change_windows.state IS 'The state of the routers then: peers, routes per peer and family, own routes, what was wrong with watches; and the silences that were made for it.';
