-- A page of tables as they were. Only the history of the prefixes on it is read, where routes_as_of reads that of a table.

-- The prefixes of a table that may have had routes at a moment: the next ones after a key, in their order. A superset: of
-- some it turns out that they had none.
CREATE FUNCTION prefixes_as_of(router TEXT, rib_name TEXT, moment TIMESTAMPTZ, after_afi SMALLINT, after_prefix CIDR, prefixes_max BIGINT)
RETURNS CIDR[]
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    WITH RECURSIVE base AS MATERIALIZED (
        SELECT b.kind, b.events_from, b.day FROM history_base(router, rib_name, moment) b
    ), told AS (
        -- One step through the index for each prefix, however many events it has.
        (SELECT e.afi, e.prefix
         FROM route_events e
         WHERE e.router_id = router AND e.table_name = rib_name AND (e.afi, e.prefix) > (after_afi, after_prefix)
           AND e.ingest_time > (SELECT b.events_from FROM base b) AND e.ingest_time <= moment
         ORDER BY e.afi, e.prefix
         LIMIT 1)
        UNION ALL
        SELECT n.afi, n.prefix
        FROM told t
        CROSS JOIN LATERAL (
            SELECT e.afi, e.prefix
            FROM route_events e
            WHERE e.router_id = router AND e.table_name = rib_name AND (e.afi, e.prefix) > (t.afi, t.prefix)
              AND e.ingest_time > (SELECT b.events_from FROM base b) AND e.ingest_time <= moment
            ORDER BY e.afi, e.prefix
            LIMIT 1) AS n
    ), found AS (
        (SELECT t.afi, t.prefix FROM told t LIMIT prefixes_max)
        UNION
        (SELECT DISTINCT s.afi, s.prefix
         FROM route_snapshots s
         WHERE s.router_id = router AND s.table_name = rib_name
           AND s.day = (SELECT b.day FROM base b WHERE b.kind = 'snapshot')
           AND s.prefix >= after_prefix AND (s.afi, s.prefix) > (after_afi, after_prefix)
         ORDER BY s.afi, s.prefix
         LIMIT prefixes_max)
        UNION
        (SELECT DISTINCT c.afi, c.prefix
         FROM current_routes c
         WHERE c.router_id = router AND c.table_name = rib_name AND (c.afi, c.prefix) > (after_afi, after_prefix)
           AND c.updated_at <= moment
           AND (SELECT b.kind IN ('unknown', 'blind') FROM base b)
         ORDER BY c.afi, c.prefix
         LIMIT prefixes_max)
    )
    SELECT COALESCE(array_agg(f.prefix ORDER BY f.afi, f.prefix), '{}')
    FROM (SELECT f.afi, f.prefix FROM found f ORDER BY f.afi, f.prefix LIMIT prefixes_max) AS f;
END;

COMMENT ON FUNCTION prefixes_as_of IS 'Internal: the next prefixes of a table that may have had routes at a moment.';

CREATE FUNCTION routes_as_of_page(routers TEXT[], moment TIMESTAMPTZ, rib_name TEXT, after_router TEXT, after_table TEXT,
                                  after_prefix CIDR, after_path_id BIGINT, rows_max BIGINT)
RETURNS TABLE (router_id TEXT, table_name TEXT, afi SMALLINT, prefix CIDR, path_id BIGINT, nexthop INET, as_path TEXT, origin TEXT,
               localpref BIGINT, med BIGINT, origin_asn BIGINT, communities_std TEXT[], communities_ext TEXT[],
               communities_large TEXT[], attrs JSONB, since TIMESTAMPTZ, complete BOOLEAN)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000
-- The list of prefixes decides how the history is read.
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    one      RECORD;
    is_known BOOLEAN;
    is_first BOOLEAN;
    chunk    CIDR[];
    last     CIDR;
    missing  BIGINT := rows_max;
    size     BIGINT;
    found    BIGINT;
BEGIN
    FOR one IN
        SELECT DISTINCT k.router_id, k.table_name
        FROM (SELECT s.router_id, s.table_name FROM rib_sync_status s
              UNION ALL SELECT s.router_id, s.table_name FROM snapshots s
              UNION ALL SELECT h.router_id, h.table_name FROM history_tables(moment) h) AS k
        WHERE k.router_id = ANY (routers) AND (rib_name IS NULL OR k.table_name = rib_name)
          AND (after_router IS NULL OR (k.router_id, k.table_name) >= (after_router, after_table))
        ORDER BY k.router_id, k.table_name
    LOOP
        is_known := history_is_complete(one.router_id, one.table_name, moment);
        is_first := (one.router_id, one.table_name) IS NOT DISTINCT FROM (after_router, after_table);
        -- The page before may have ended among the paths of its last prefix.
        chunk := CASE WHEN is_first THEN ARRAY[after_prefix] ELSE '{}' END;
        last := CASE WHEN is_first THEN after_prefix END;
        size := missing;
        LOOP
            chunk := chunk || prefixes_as_of(one.router_id, one.table_name, moment, COALESCE(family(last), 0)::smallint,
                                             COALESCE(last, '0.0.0.0/0'), size);
            EXIT WHEN chunk = '{}';
            RETURN QUERY
                SELECT one.router_id, one.table_name, r.afi, r.prefix, r.path_id, r.nexthop, r.as_path, r.origin, r.localpref, r.med,
                       r.origin_asn, r.communities_std, r.communities_ext, r.communities_large, r.attrs, r.since, is_known
                FROM routes_as_of(one.router_id, one.table_name, moment, chunk) r
                WHERE NOT is_first OR (r.prefix, r.path_id) > (after_prefix, after_path_id)
                ORDER BY r.afi, r.prefix, r.path_id
                LIMIT missing;
            GET DIAGNOSTICS found = ROW_COUNT;
            missing := missing - found;
            IF missing <= 0 THEN
                RETURN;
            END IF;
            last := chunk[cardinality(chunk)];
            chunk := '{}';
            -- Many that had no route: more of them at a time.
            size := LEAST(2 * size, 10000);
        END LOOP;
    END LOOP;
END;
$$;

COMMENT ON FUNCTION routes_as_of_page IS 'At most rows_max routes of the Loc-RIBs of these routers as they were at a moment, in the order of their keys, after a key (NULL: from the first one); rib_name limits it to one table of each (NULL: all). Columns as routes_as_of has them; complete is that of the whole table.';

-- The schema that this migration runs in, whichever that is.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION routes_as_of_page SET search_path = pg_catalog, %I, pg_temp', current_schema());
END;
$$;
