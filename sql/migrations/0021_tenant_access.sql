-- What teams may ask: functions that check who asks, with the rights of the owner. Their names mean the same whatever the
-- caller's search_path says: bodies in SQL are parsed here and now (BEGIN ATOMIC), the others have a path of their own.

CREATE FUNCTION tenant.own_team() RETURNS TEXT LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    team CONSTANT TEXT := watch.own_team();
BEGIN
    IF team IS NULL THEN
        RAISE EXCEPTION 'role % belongs to no team', session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN team;
END $$;

COMMENT ON FUNCTION tenant.own_team IS 'The team of the role that logged in; refused if it has none.';

CREATE FUNCTION tenant.check_resource(wanted INET) RETURNS VOID LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM tenant.resources r WHERE r.team_id = tenant.own_team() AND r.prefix >>= wanted) THEN
        RAISE EXCEPTION '% is in no resource of your team', wanted USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

COMMENT ON FUNCTION tenant.check_resource(INET) IS 'Internal: refuses what is in no resource of the team of the role that logged in.';

-- Of the Loc-RIB where the router has one, else of its Adj-RIBs-In; whose peers those are is the operator's business.
CREATE FUNCTION tenant.routes_to(address INET)
RETURNS TABLE (router TEXT, table_name TEXT, rib TEXT, prefix CIDR, nexthop INET, as_path TEXT, origin_asn BIGINT, localpref BIGINT, med BIGINT,
               communities_std TEXT[], communities_large TEXT[], rpki TEXT, updated_at TIMESTAMPTZ)
LANGUAGE sql STABLE ROWS 50 SET enable_bitmapscan = off SET enable_seqscan = off SET jit = off
BEGIN ATOMIC
    SELECT COALESCE(o.display_name, o.hostname, f.router_id), f.table_name, f.rib, f.prefix, f.nexthop, f.as_path, f.origin_asn, f.localpref, f.med,
           f.communities_std, f.communities_large, rov(f.prefix, rpki.route_origin(f.origin_asn, f.as_path, o.as_number)), f.updated_at
    FROM (
        SELECT r.router_id, r.table_name, 'loc-rib' AS rib, r.prefix, r.nexthop, r.as_path, r.origin_asn, r.localpref, r.med, r.communities_std,
               r.communities_large, r.updated_at
        FROM lookup(address) r
        UNION ALL
        SELECT m.router_id, m.table_name, CASE WHEN m.is_post_policy THEN 'adj-rib-in-post' ELSE 'adj-rib-in-pre' END, m.prefix, m.nexthop, m.as_path,
               m.origin_asn, m.localpref, m.med, m.communities_std, m.communities_large, m.updated_at
        FROM (SELECT a.router_id, a.table_name, a.is_post_policy, a.prefix, a.nexthop, a.as_path, a.origin_asn, a.localpref, a.med,
                     a.communities_std, a.communities_large, a.updated_at,
                     max(masklen(a.prefix)) OVER (PARTITION BY a.router_id, a.table_name, a.is_post_policy) AS longest
              FROM adj_rib_in a
              WHERE a.prefix = ANY (covering_prefixes(address))
                AND NOT EXISTS (SELECT FROM rib_sync_status s WHERE s.router_id = a.router_id)) AS m
        WHERE masklen(m.prefix) = m.longest
    ) AS f
    LEFT JOIN routers o ON o.router_id = f.router_id
    ORDER BY 1, 2, 3, 4, 6;
END;

COMMENT ON FUNCTION tenant.routes_to(INET) IS 'Internal: the routes of tenant.lookup().';

CREATE FUNCTION tenant.lookup(address INET)
RETURNS TABLE (router TEXT, table_name TEXT, rib TEXT, prefix CIDR, nexthop INET, as_path TEXT, origin_asn BIGINT, localpref BIGINT, med BIGINT,
               communities_std TEXT[], communities_large TEXT[], rpki TEXT, updated_at TIMESTAMPTZ)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 50 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tenant.check_resource(lookup.address);
    RETURN QUERY SELECT * FROM tenant.routes_to(lookup.address);
END $$;

COMMENT ON FUNCTION tenant.lookup(INET) IS 'For teams: the longest match for an address or prefix inside their resources, in each table of each router.';

CREATE FUNCTION tenant.events_of(wanted CIDR, span INTERVAL)
RETURNS TABLE (ingest_time TIMESTAMPTZ, router TEXT, table_name TEXT, rib TEXT, action TEXT, nexthop INET, as_path TEXT, origin_asn BIGINT,
               communities_std TEXT[], reason TEXT)
LANGUAGE sql STABLE ROWS 100
BEGIN ATOMIC
    SELECT f.ingest_time, COALESCE(o.display_name, o.hostname, f.router_id), f.table_name, f.rib, f.action, f.nexthop, f.as_path, f.origin_asn,
           f.communities_std, f.reason
    FROM (SELECT s.router_id, s.table_name FROM rib_sync_status s WHERE s.afi = family(wanted)
          UNION SELECT s.router_id, s.table_name FROM adj_rib_in_sync_status s WHERE s.afi = family(wanted)) AS t
    CROSS JOIN LATERAL (
        SELECT e.router_id, e.table_name, e.ingest_time, e.action::TEXT AS action, e.nexthop, e.as_path, e.origin_asn, e.communities_std,
               e.attrs ->> 'reason' AS reason,
               CASE WHEN e.peer_address IS NULL THEN 'loc-rib' ELSE e.rib || CASE WHEN e.is_post_policy THEN '-post' ELSE '-pre' END END AS rib
        FROM route_events e
        WHERE e.router_id = t.router_id AND e.table_name = t.table_name AND e.afi = family(wanted) AND e.prefix = wanted
          AND e.rib IS DISTINCT FROM 'adj-rib-out' AND e.ingest_time > now() - LEAST(span, INTERVAL '90 days')
        ORDER BY e.ingest_time DESC
        LIMIT 1000
    ) AS f
    LEFT JOIN routers o ON o.router_id = f.router_id
    ORDER BY f.ingest_time DESC
    LIMIT 1000;
END;

COMMENT ON FUNCTION tenant.events_of(CIDR, INTERVAL) IS 'Internal: the events of tenant.history().';

CREATE FUNCTION tenant.history(wanted CIDR, span INTERVAL DEFAULT '1 day')
RETURNS TABLE (ingest_time TIMESTAMPTZ, router TEXT, table_name TEXT, rib TEXT, action TEXT, nexthop INET, as_path TEXT, origin_asn BIGINT,
               communities_std TEXT[], reason TEXT)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM tenant.check_resource(history.wanted);
    RETURN QUERY SELECT * FROM tenant.events_of(history.wanted, history.span);
END $$;

COMMENT ON FUNCTION tenant.history(CIDR, INTERVAL) IS 'For teams: the latest 1000 events of one prefix inside their resources, within at most 90 days; empty where the history is off.';

CREATE FUNCTION tenant.routes_in(wanted CIDR) RETURNS TABLE (router_id TEXT, prefix CIDR, origin BIGINT, is_blackholed BOOLEAN)
LANGUAGE sql STABLE ROWS 100
BEGIN ATOMIC
    (SELECT r.router_id, r.prefix, rpki.route_origin(r.origin_asn, r.as_path, o.as_number), COALESCE('65535:666' = ANY (r.communities_std), false)
     FROM current_routes r LEFT JOIN routers o ON o.router_id = r.router_id
     WHERE r.prefix <<= wanted LIMIT 10000)
    UNION ALL
    (SELECT a.router_id, a.prefix, rpki.route_origin(a.origin_asn, a.as_path, o.as_number), COALESCE('65535:666' = ANY (a.communities_std), false)
     FROM adj_rib_in a LEFT JOIN routers o ON o.router_id = a.router_id
     WHERE a.prefix <<= wanted LIMIT 10000);
END;

COMMENT ON FUNCTION tenant.routes_in(CIDR) IS 'Internal: at most 10,000 routes of Loc-RIBs and as many of Adj-RIBs-In inside a prefix.';

CREATE FUNCTION tenant.overview_of(team TEXT)
RETURNS TABLE (team_id TEXT, resource_id TEXT, prefix CIDR, origin_asn BIGINT, announced BIGINT, routers BIGINT, origins BIGINT[], rpki_valid BIGINT,
               rpki_invalid BIGINT, rpki_not_found BIGINT, blackholed CIDR[], incidents BIGINT)
LANGUAGE sql STABLE ROWS 10
BEGIN ATOMIC
    SELECT r.team_id, r.id, r.prefix, r.origin_asn, f.announced, f.routers, f.origins, v.valid, v.invalid, v.not_found, f.blackholed,
           (SELECT count(DISTINCT i.incident_id) FROM tenant.incidents i
            WHERE i.team_id = r.team_id AND i.state <> 'resolved'
              AND (i.resource_id = r.id
                   OR i.domain_id IN (SELECT d.domain_id FROM tenant.record_addresses a
                                      JOIN tenant.dns_records d ON d.team_id = a.team_id AND d.id = a.record_id
                                      WHERE a.team_id = r.team_id AND a.address <<= r.prefix)))
    FROM tenant.resources r
    CROSS JOIN LATERAL (
        SELECT count(DISTINCT i.prefix) AS announced, count(DISTINCT i.router_id) AS routers,
               array_agg(DISTINCT i.origin ORDER BY i.origin) FILTER (WHERE i.origin > 0) AS origins,
               array_agg(DISTINCT i.prefix ORDER BY i.prefix) FILTER (WHERE i.is_blackholed) AS blackholed
        FROM tenant.routes_in(r.prefix) i
    ) AS f
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE p.state = 'valid') AS valid, count(*) FILTER (WHERE p.state = 'invalid') AS invalid,
               count(*) FILTER (WHERE p.state = 'not-found') AS not_found
        FROM (SELECT rov(d.prefix, d.origin) AS state FROM (SELECT DISTINCT i.prefix, i.origin FROM tenant.routes_in(r.prefix) i) AS d) AS p
    ) AS v
    WHERE r.team_id = team
    ORDER BY r.prefix, r.origin_asn;
END;

COMMENT ON FUNCTION tenant.overview_of(TEXT) IS 'Internal: the rows of tenant.overview().';

CREATE FUNCTION tenant.overview(team TEXT DEFAULT NULL)
RETURNS TABLE (team_id TEXT, resource_id TEXT, prefix CIDR, origin_asn BIGINT, announced BIGINT, routers BIGINT, origins BIGINT[], rpki_valid BIGINT,
               rpki_invalid BIGINT, rpki_not_found BIGINT, blackholed CIDR[], incidents BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Without a team an operator's question is about nobody.
    own CONSTANT TEXT := CASE WHEN watch.is_operator() THEN overview.team ELSE tenant.own_team() END;
BEGIN
    IF overview.team <> own THEN
        RAISE EXCEPTION 'team "%" is not yours', left(overview.team, 64) USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN QUERY SELECT * FROM tenant.overview_of(own);
END $$;

COMMENT ON FUNCTION tenant.overview(TEXT) IS 'What is announced inside each resource of a team, by Loc-RIBs and Adj-RIBs-In: prefixes, routers, origins, RPKI states, blackholed prefixes (65535:666), and unresolved incidents. A team asks for its own only, and need not name it.';

CREATE FUNCTION tenant.people() RETURNS TABLE (user_id TEXT, name TEXT, email TEXT, role TEXT, db_role TEXT)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT u.id, u.name, u.email, m.role, m.db_role FROM tenant.members m JOIN tenant.users u ON u.id = m.user_id
                 WHERE m.team_id = tenant.own_team() ORDER BY u.name, u.id;
END $$;

COMMENT ON FUNCTION tenant.people() IS 'For teams: their members.';

CREATE FUNCTION tenant.watches()
RETURNS TABLE (id BIGINT, name TEXT, kind TEXT, prefix CIDR, address INET, expected_origins BIGINT[], severity TEXT, enabled BOOLEAN, source TEXT,
               note TEXT, holding BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT w.id, w.name, w.kind, w.prefix, w.address, w.expected_origins, w.severity, w.enabled, w.source, w.note,
                        (SELECT count(*) FROM watch.conditions c WHERE c.watch_id = w.id)
                 FROM watch.watches w WHERE w.team = tenant.own_team() ORDER BY w.name;
END $$;

COMMENT ON FUNCTION tenant.watches() IS 'For teams: their watches, and how many conditions hold for each.';

CREATE FUNCTION tenant.callbacks()
RETURNS TABLE (name TEXT, format TEXT, target TEXT, conditions TEXT[], min_severity TEXT, enabled BOOLEAN, last_at TIMESTAMPTZ, last_status INTEGER,
               failing_since TIMESTAMPTZ, pending BIGINT, dead BIGINT)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT c.name, c.format, c.target, c.conditions, c.min_severity, c.enabled, c.last_at, c.last_status, c.failing_since, c.pending, c.dead
                 FROM watch.callbacks_public c WHERE c.team = tenant.own_team() ORDER BY c.name;
END $$;

COMMENT ON FUNCTION tenant.callbacks() IS 'For teams: their callbacks, set by watch.set_callback(), without secrets.';

CREATE FUNCTION tenant.silences()
RETURNS TABLE (id BIGINT, watch TEXT, starts_at TIMESTAMPTZ, ends_at TIMESTAMPTZ, ended_at TIMESTAMPTZ, created_by TEXT, note TEXT)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT s.id, w.name, s.starts_at, s.ends_at, s.ended_at, s.created_by, s.note
                 FROM watch.silences s LEFT JOIN watch.watches w ON w.id = s.watch_id
                 WHERE s.team = tenant.own_team() ORDER BY s.id;
END $$;

COMMENT ON FUNCTION tenant.silences() IS 'For teams: their silences.';

CREATE FUNCTION tenant.silence(watch_name TEXT, until TIMESTAMPTZ, note TEXT)
RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own CONSTANT TEXT := tenant.own_team();
    watched BIGINT;
    made BIGINT;
BEGIN
    SELECT w.id INTO watched FROM watch.watches w WHERE w.team = own AND w.name = silence.watch_name;
    IF watched IS NULL THEN
        RAISE EXCEPTION 'your team has no watch "%"', left(silence.watch_name, 128) USING ERRCODE = 'no_data_found';
    ELSIF (silence.until > now() AND silence.until <= now() + INTERVAL '90 days') IS NOT TRUE THEN
        RAISE EXCEPTION 'a silence must end in the future, within 90 days' USING ERRCODE = 'check_violation';
    ELSIF COALESCE(btrim(silence.note), '') = '' OR length(silence.note) > 1000 THEN
        RAISE EXCEPTION 'a silence needs a note of at most 1000 characters that says why' USING ERRCODE = 'check_violation';
    ELSIF (SELECT count(*) FROM watch.silences s WHERE s.team = own AND s.ends_at > now()) >= 100 THEN
        RAISE EXCEPTION 'a team has at most 100 silences' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO watch.silences (starts_at, ends_at, watch_id, team, created_by, note)
    VALUES (now(), silence.until, watched, own, session_user, silence.note) RETURNING id INTO made;
    RETURN made;
END $$;

COMMENT ON FUNCTION tenant.silence(TEXT, TIMESTAMPTZ, TEXT) IS 'For teams: keeps a watch of theirs quiet until a time, and returns the number of the silence.';

CREATE FUNCTION tenant.end_silence(silence_id BIGINT) RETURNS BOOLEAN LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE watch.silences s SET ended_at = now()
    WHERE s.id = end_silence.silence_id AND s.team = tenant.own_team() AND s.ended_at IS NULL AND s.ends_at > now();
    RETURN FOUND;
END $$;

COMMENT ON FUNCTION tenant.end_silence(BIGINT) IS 'For teams: ends a silence of theirs; false if they have no such silence that lasts.';

CREATE FUNCTION tenant.acknowledge(incident TEXT) RETURNS BOOLEAN LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE tenant.incidents i SET acknowledge_asked_by = session_user
    WHERE i.team_id = tenant.own_team() AND i.id = acknowledge.incident AND i.state = 'investigating' AND i.incident_id IS NOT NULL;
    RETURN FOUND;
END $$;

COMMENT ON FUNCTION tenant.acknowledge(TEXT) IS 'For teams: says that somebody takes care of an incident of theirs; the collector tells callbacks of it. False if there is no such incident that nobody has acknowledged.';

-- Its own rows --------------------------------------------------------------------------------------------------

-- The rows come out of a function, which the planner does not look into.
DO $make$
DECLARE
    one TEXT;
    name TEXT;
BEGIN
    FOREACH one IN ARRAY '{teams,domains,dns_records,record_addresses,proxy_configs,alerts,resources,incidents,analytics_data}'::TEXT[] LOOP
        EXECUTE format($sql$
            CREATE FUNCTION tenant.read_%1$s() RETURNS SETOF tenant.%1$I LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
            BEGIN ATOMIC
                SELECT t.* FROM tenant.%1$I t WHERE t.%2$I = tenant.own_team();
            END;
            CREATE VIEW tenant.own_%1$s AS SELECT * FROM tenant.read_%1$s();
            COMMENT ON FUNCTION tenant.read_%1$s() IS 'Internal: the rows of tenant.own_%1$s.';
            COMMENT ON VIEW tenant.own_%1$s IS 'For teams: their rows of tenant.%1$s.'$sql$, one, CASE one WHEN 'teams' THEN 'id' ELSE 'team_id' END);
        FOR name IN SELECT a.attname FROM pg_attribute a WHERE a.attrelid = format('tenant.%I', one)::regclass AND a.attnum > 0 LOOP
            EXECUTE format('COMMENT ON COLUMN tenant.own_%s.%I IS %L', one, name, format('As tenant.%s.%s.', one, name));
        END LOOP;
    END LOOP;
END
$make$;

-- $1 of the trigger: the table; the others: the columns that a team may write.
CREATE FUNCTION tenant.write_own() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own CONSTANT TEXT := tenant.own_team();
    given JSONB;
    refused TEXT;
    columns TEXT;
BEGIN
    IF TG_OP = 'DELETE' THEN
        EXECUTE format('DELETE FROM tenant.%I WHERE team_id = $1 AND id = $2', TG_ARGV[0]) USING own, OLD.id;
        RETURN OLD;
    END IF;
    given := to_jsonb(NEW);
    IF TG_OP = 'INSERT' THEN
        IF NEW.team_id <> own THEN
            RAISE EXCEPTION 'team "%" is not yours', left(NEW.team_id, 64) USING ERRCODE = 'insufficient_privilege';
        END IF;
        -- What is not given has the default of the table.
        given := (SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(given - 'team_id') n WHERE n.value <> 'null');
        IF given IS NULL THEN
            RAISE EXCEPTION 'a row of tenant.% needs columns', TG_ARGV[0] USING ERRCODE = 'not_null_violation';
        END IF;
    ELSE
        given := COALESCE((SELECT jsonb_object_agg(n.key, n.value) FROM jsonb_each(given) n
                           WHERE n.value IS DISTINCT FROM to_jsonb(OLD) -> n.key), '{}');
        IF given = '{}' THEN
            RETURN NEW;
        END IF;
    END IF;
    SELECT string_agg(k.key, ', ') INTO refused FROM jsonb_object_keys(given) AS k (key)
    WHERE NOT (k.key = ANY (TG_ARGV[1:]) OR TG_OP = 'INSERT' AND k.key IN ('id', 'domain_id'));
    IF refused IS NOT NULL THEN
        RAISE EXCEPTION 'a team may not write % of tenant.%', refused, TG_ARGV[0] USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT string_agg(format('%I', k.key), ', ') INTO columns FROM jsonb_object_keys(given) AS k (key);
    IF TG_OP = 'INSERT' THEN
        EXECUTE format('INSERT INTO tenant.%1$I (team_id, %2$s) SELECT $1, %2$s FROM jsonb_populate_record(NULL::tenant.%1$I, $2) RETURNING *',
                       TG_ARGV[0], columns) INTO NEW USING own, given;
    ELSE
        EXECUTE format('UPDATE tenant.%1$I SET (%2$s) = (SELECT %2$s FROM jsonb_populate_record(NULL::tenant.%1$I, $3))
                        WHERE team_id = $1 AND id = $2 RETURNING *', TG_ARGV[0], columns) INTO NEW USING own, OLD.id, given;
    END IF;
    RETURN NEW;
END $$;

COMMENT ON FUNCTION tenant.write_own() IS 'Internal: writes the rows of a team, those columns that it may.';

CREATE TRIGGER write_own INSTEAD OF INSERT OR UPDATE OR DELETE ON tenant.own_domains
    FOR EACH ROW EXECUTE FUNCTION tenant.write_own('domains', 'hostname', 'tls_state', 'is_verified', 'waf_state', 'updated_at');
CREATE TRIGGER write_own INSTEAD OF INSERT OR UPDATE OR DELETE ON tenant.own_dns_records
    FOR EACH ROW EXECUTE FUNCTION tenant.write_own('dns_records', 'type', 'name', 'content', 'ttl', 'priority', 'updated_at');
CREATE TRIGGER write_own INSTEAD OF INSERT OR UPDATE OR DELETE ON tenant.own_proxy_configs
    FOR EACH ROW EXECUTE FUNCTION tenant.write_own('proxy_configs', 'config', 'updated_at');
CREATE TRIGGER write_own INSTEAD OF INSERT OR UPDATE OR DELETE ON tenant.own_alerts
    FOR EACH ROW EXECUTE FUNCTION tenant.write_own('alerts', 'type', 'severity', 'message', 'detail', 'resolved_at');
CREATE TRIGGER write_own INSTEAD OF UPDATE ON tenant.own_resources FOR EACH ROW EXECUTE FUNCTION tenant.write_own('resources', 'is_watched');
CREATE TRIGGER write_own INSTEAD OF UPDATE ON tenant.own_incidents FOR EACH ROW EXECUTE FUNCTION tenant.write_own('incidents', 'title', 'text');

-- What a team is granted ----------------------------------------------------------------------------------------

DO $$
DECLARE
    one REGPROCEDURE;
BEGIN
    FOR one IN SELECT p.oid FROM pg_proc p WHERE p.pronamespace = 'tenant'::regnamespace
                                             AND p.proname NOT IN ('visible_teams', 'record_address', 'overview') LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one);
    END LOOP;
END $$;

CREATE FUNCTION tenant.grant_to(team_role NAME) RETURNS VOID LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    one TEXT;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA tenant, watch TO %I', team_role);
    FOREACH one IN ARRAY '{teams,domains,dns_records,record_addresses,proxy_configs,alerts,resources,incidents,analytics_data}'::TEXT[] LOOP
        EXECUTE format('GRANT SELECT ON tenant.own_%s TO %I', one, team_role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION tenant.read_%s() TO %I', one, team_role);
    END LOOP;
    EXECUTE format('GRANT INSERT, UPDATE, DELETE ON tenant.own_domains, tenant.own_dns_records, tenant.own_proxy_configs, tenant.own_alerts TO %I', team_role);
    EXECUTE format('GRANT UPDATE ON tenant.own_resources, tenant.own_incidents TO %I', team_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION tenant.own_team(), tenant.lookup(INET), tenant.history(CIDR, INTERVAL), tenant.overview(TEXT),
                    tenant.people(), tenant.watches(), tenant.callbacks(), tenant.silences(), tenant.silence(TEXT, TIMESTAMPTZ, TEXT),
                    tenant.end_silence(BIGINT), tenant.acknowledge(TEXT),
                    watch.set_callback(TEXT, TEXT, TEXT, TEXT, JSONB, TEXT, TEXT[], TEXT, TEXT, BOOLEAN) TO %I', team_role);
END $$;

COMMENT ON FUNCTION tenant.grant_to(NAME) IS 'For the owner: grants a role what the roles of teams need, and no more. Which team a role belongs to is said in watch.team_roles.';

REVOKE ALL ON FUNCTION tenant.grant_to(NAME) FROM PUBLIC;
