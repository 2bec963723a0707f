-- Teams that share a collector: what they own, what they see of it, and nothing else.
--
-- A team must not learn another's names, not even that they exist. Therefore the team is the first column of every key
-- and index, so that no constraint tells of them, and a team reads and writes through views and functions only
-- (0021_tenant_access): a plan shows what conditions that the team gives have met before row-level security has hidden the
-- row. Row-level security holds where somebody grants more than that.

DO $$
BEGIN
    -- IF NOT EXISTS asks for the right to create one even where an administrator has made it.
    IF to_regnamespace('tenant') IS NULL THEN
        CREATE SCHEMA tenant;
    ELSIF to_regclass('tenant.teams') IS NOT NULL THEN
        RAISE EXCEPTION 'the schema tenant of this database belongs to a collector whose tables are in another schema: use another database'
            USING ERRCODE = 'duplicate_schema';
    END IF;
END $$;

COMMENT ON SCHEMA tenant IS 'Teams that share a collector: their domains and addresses, their incidents.';

-- Who asks ------------------------------------------------------------------------------------------------------

ALTER TABLE watch.team_roles ADD CONSTRAINT team_roles_team UNIQUE (db_role, team);

COMMENT ON TABLE watch.team_roles IS 'Which team a role that logs in belongs to. The only place that says it: row-level security, the functions of teams and watch.set_callback() ask it. For the owner only.';

CREATE FUNCTION watch.own_team() RETURNS TEXT LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT t.team FROM watch.team_roles t WHERE t.db_role = session_user;
END;

COMMENT ON FUNCTION watch.own_team IS 'The team of the role that logged in, by watch.team_roles; NULL: none. SET ROLE changes nothing about it.';

-- Whoever may read all routes may read all watches too, as before there were teams. A role of a team that nobody has
-- entered in watch.team_roles may read no routes, and sees nothing.
CREATE FUNCTION watch.is_operator() RETURNS BOOLEAN LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT has_table_privilege(session_user, 'current_routes'::regclass, 'SELECT')
           AND NOT EXISTS (SELECT FROM watch.team_roles t WHERE t.db_role = session_user);
END;

COMMENT ON FUNCTION watch.is_operator IS 'True if the role that logged in belongs to no team and may read current_routes: it sees the rows of all teams that it was granted.';

-- Tables --------------------------------------------------------------------------------------------------------

CREATE TABLE tenant.teams (
    id          TEXT PRIMARY KEY DEFAULT gen_random_uuid()::TEXT CHECK (id ~ '^[^[:cntrl:]/:]{1,64}$'),
    name        TEXT        NOT NULL,
    mail        TEXT,
    max_watches INTEGER     NOT NULL DEFAULT 1000 CHECK (max_watches BETWEEN 0 AND 100000),
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE FUNCTION tenant.visible_teams() RETURNS TEXT[] LANGUAGE sql STABLE SECURITY DEFINER
BEGIN ATOMIC
    SELECT CASE WHEN watch.is_operator() THEN ARRAY(SELECT t.id FROM tenant.teams t) ELSE ARRAY[watch.own_team()] END;
END;

COMMENT ON FUNCTION tenant.visible_teams IS 'Internal: the teams whose rows the role that logged in may see.';

CREATE TABLE tenant.users (
    id         TEXT PRIMARY KEY DEFAULT gen_random_uuid()::TEXT,
    name       TEXT,
    email      TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE tenant.members (
    team_id TEXT NOT NULL REFERENCES tenant.teams ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES tenant.users ON DELETE CASCADE,
    role    TEXT,
    db_role TEXT,
    PRIMARY KEY (team_id, user_id),
    FOREIGN KEY (db_role, team_id) REFERENCES watch.team_roles (db_role, team) ON DELETE SET NULL (db_role)
);

CREATE TABLE tenant.domains (
    team_id     TEXT        NOT NULL REFERENCES tenant.teams ON DELETE CASCADE,
    id          TEXT        NOT NULL DEFAULT gen_random_uuid()::TEXT,
    hostname    TEXT        NOT NULL CHECK (length(hostname) BETWEEN 1 AND 253 AND hostname !~ '[[:cntrl:][:space:]]'),
    tls_state   TEXT CHECK (tls_state IN ('pending', 'active', 'expired')),
    is_verified BOOLEAN,
    waf_state   TEXT,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, id),
    CONSTRAINT domains_hostname UNIQUE (team_id, hostname)
);

CREATE FUNCTION tenant.record_address(type TEXT, content TEXT) RETURNS INET LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    wanted CONSTANT INTEGER := CASE type WHEN 'A' THEN 4 WHEN 'AAAA' THEN 6 END;
    found INET;
BEGIN
    IF wanted IS NULL THEN
        RETURN NULL;
    END IF;
    BEGIN
        found := btrim(content)::INET;
    EXCEPTION WHEN invalid_text_representation THEN
        found := NULL;
    END;
    IF found IS NULL OR family(found) <> wanted OR masklen(found) <> (CASE wanted WHEN 4 THEN 32 ELSE 128 END) THEN
        RAISE EXCEPTION 'a record of type % needs an IPv% address, not "%"', type, wanted, left(content, 64) USING ERRCODE = 'check_violation';
    END IF;
    RETURN found;
END $$;

COMMENT ON FUNCTION tenant.record_address(TEXT, TEXT) IS 'Internal: the address of a record of type A or AAAA; NULL for other types.';

CREATE TABLE tenant.dns_records (
    team_id    TEXT        NOT NULL,
    id         TEXT        NOT NULL DEFAULT gen_random_uuid()::TEXT,
    domain_id  TEXT        NOT NULL,
    type       TEXT        NOT NULL CHECK (type ~ '^[A-Z][A-Z0-9]{0,15}$'),
    name       TEXT        NOT NULL DEFAULT '@' CHECK (length(name) <= 253),
    content    TEXT        NOT NULL CHECK (length(content) <= 4096),
    ttl        INTEGER CHECK (ttl >= 0),
    priority   INTEGER,
    address    INET GENERATED ALWAYS AS (tenant.record_address(type, content)) STORED,
    state      TEXT CHECK (state IN ('watched', 'not_permitted', 'over_limit', 'unresolved', 'not_followed')),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, domain_id) REFERENCES tenant.domains (team_id, id) ON DELETE CASCADE
);

CREATE INDEX idx_dns_records_domain ON tenant.dns_records (team_id, domain_id);

CREATE TABLE tenant.record_addresses (
    team_id   TEXT NOT NULL,
    record_id TEXT NOT NULL,
    address   INET NOT NULL,
    watch_id  BIGINT,
    PRIMARY KEY (team_id, record_id, address),
    FOREIGN KEY (team_id, record_id) REFERENCES tenant.dns_records (team_id, id) ON DELETE CASCADE,
    FOREIGN KEY (team_id, watch_id) REFERENCES watch.watches (team, id) ON DELETE SET NULL (watch_id)
);

CREATE INDEX idx_record_addresses_watch ON tenant.record_addresses (team_id, watch_id);

CREATE TABLE tenant.proxy_configs (
    team_id    TEXT        NOT NULL,
    id         TEXT        NOT NULL DEFAULT gen_random_uuid()::TEXT,
    domain_id  TEXT        NOT NULL,
    config     JSONB       NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(config) = 'object'),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, id),
    CONSTRAINT proxy_configs_domain UNIQUE (team_id, domain_id),
    FOREIGN KEY (team_id, domain_id) REFERENCES tenant.domains (team_id, id) ON DELETE CASCADE
);

CREATE TABLE tenant.alerts (
    team_id     TEXT        NOT NULL,
    id          TEXT        NOT NULL DEFAULT gen_random_uuid()::TEXT,
    domain_id   TEXT        NOT NULL,
    type        TEXT,
    severity    TEXT,
    message     TEXT,
    detail      JSONB,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    resolved_at TIMESTAMPTZ,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, domain_id) REFERENCES tenant.domains (team_id, id) ON DELETE CASCADE
);

CREATE INDEX idx_alerts_domain ON tenant.alerts (team_id, domain_id);

CREATE TABLE tenant.resources (
    team_id    TEXT        NOT NULL REFERENCES tenant.teams ON DELETE CASCADE,
    id         TEXT        NOT NULL DEFAULT gen_random_uuid()::TEXT,
    prefix     CIDR        NOT NULL,
    origin_asn BIGINT CHECK (origin_asn BETWEEN 1 AND 4294967295),
    mail       TEXT,
    is_watched BOOLEAN     NOT NULL DEFAULT true,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, id),
    CONSTRAINT resources_prefix UNIQUE NULLS NOT DISTINCT (team_id, prefix, origin_asn),
    -- Analytics and overviews read everything inside a resource.
    CONSTRAINT resources_size CHECK (masklen(prefix) >= CASE family(prefix) WHEN 4 THEN 8 ELSE 16 END)
);

CREATE TABLE tenant.incidents (
    team_id              TEXT        NOT NULL REFERENCES tenant.teams ON DELETE CASCADE,
    id                   TEXT        NOT NULL DEFAULT gen_random_uuid()::TEXT,
    domain_id            TEXT,
    resource_id          TEXT,
    incident_id          BIGINT,
    condition            TEXT,
    severity             TEXT        NOT NULL CHECK (severity IN ('critical', 'major', 'minor')),
    state                TEXT        NOT NULL CHECK (state IN ('investigating', 'identified', 'monitoring', 'resolved')),
    title                TEXT        NOT NULL CHECK (length(title) <= 1000),
    text                 TEXT CHECK (length(text) <= 100000),
    summary              TEXT,
    opened_at            TIMESTAMPTZ NOT NULL DEFAULT now(),
    acknowledged_at      TIMESTAMPTZ,
    acknowledged_by      TEXT,
    resolved_at          TIMESTAMPTZ,
    acknowledge_asked_by TEXT,
    edited_at            TIMESTAMPTZ,
    edited_by            TEXT,
    PRIMARY KEY (team_id, id),
    FOREIGN KEY (team_id, domain_id) REFERENCES tenant.domains (team_id, id) ON DELETE CASCADE,
    FOREIGN KEY (team_id, resource_id) REFERENCES tenant.resources (team_id, id) ON DELETE CASCADE,
    FOREIGN KEY (team_id, incident_id) REFERENCES watch.incidents (team, id) ON DELETE SET NULL (incident_id)
);

CREATE UNIQUE INDEX incidents_target ON tenant.incidents (team_id, incident_id, domain_id, resource_id) NULLS NOT DISTINCT
    WHERE incident_id IS NOT NULL;
CREATE INDEX idx_tenant_incidents_unresolved ON tenant.incidents (team_id, opened_at) WHERE state <> 'resolved';
CREATE INDEX idx_tenant_incidents_domain ON tenant.incidents (team_id, domain_id);
CREATE INDEX idx_tenant_incidents_resource ON tenant.incidents (team_id, resource_id);

CREATE TABLE tenant.analytics_data (
    team_id          TEXT        NOT NULL REFERENCES tenant.teams ON DELETE CASCADE,
    domain_id        TEXT,
    resource_id      TEXT,
    bucket           TIMESTAMPTZ NOT NULL,
    width            TEXT        NOT NULL CHECK (width IN ('minute', 'hour')),
    announcements    INTEGER     NOT NULL DEFAULT 0,
    withdrawals      INTEGER     NOT NULL DEFAULT 0,
    path_changes     INTEGER     NOT NULL DEFAULT 0,
    unreachable_secs INTEGER     NOT NULL DEFAULT 0,
    has_history      BOOLEAN     NOT NULL DEFAULT true,
    CONSTRAINT analytics_data_key UNIQUE NULLS NOT DISTINCT (team_id, width, bucket, domain_id, resource_id),
    CONSTRAINT analytics_data_of CHECK (num_nonnulls(domain_id, resource_id) = 1),
    FOREIGN KEY (team_id, domain_id) REFERENCES tenant.domains (team_id, id) ON DELETE CASCADE,
    FOREIGN KEY (team_id, resource_id) REFERENCES tenant.resources (team_id, id) ON DELETE CASCADE
);

CREATE INDEX idx_analytics_data_domain ON tenant.analytics_data (team_id, domain_id, bucket) WHERE domain_id IS NOT NULL;
CREATE INDEX idx_analytics_data_resource ON tenant.analytics_data (team_id, resource_id, bucket) WHERE resource_id IS NOT NULL;

CREATE TABLE tenant.changes (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    team_id TEXT NOT NULL
);

CREATE TABLE tenant.progress (
    is_only      BOOLEAN     PRIMARY KEY DEFAULT true CHECK (is_only),
    checked_at   TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    incidents_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    analyzed_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    forgotten_at TIMESTAMPTZ NOT NULL DEFAULT '-infinity'
);

INSERT INTO tenant.progress DEFAULT VALUES;

-- Triggers ------------------------------------------------------------------------------------------------------

-- A queue and not a counter: a row that everybody updates would make teams wait for each other. Beyond 10,000 rows
-- nobody reads it, and the round of all teams, every 10 minutes, finds what was left out.
CREATE FUNCTION tenant.note_change() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    teams TEXT[];
    key CONSTANT TEXT := CASE TG_TABLE_NAME WHEN 'teams' THEN 'id' ELSE 'team_id' END;
BEGIN
    IF TG_OP = 'INSERT' THEN
        teams := ARRAY(SELECT DISTINCT to_jsonb(n) ->> key FROM after n);
    ELSIF TG_OP = 'DELETE' THEN
        teams := ARRAY(SELECT DISTINCT to_jsonb(o) ->> key FROM before o);
    ELSE
        -- The collector writes state itself.
        teams := ARRAY(SELECT DISTINCT row ->> key
                       FROM ((SELECT to_jsonb(n) - 'state' - 'updated_at' AS row FROM after n EXCEPT SELECT to_jsonb(o) - 'state' - 'updated_at' FROM before o)
                             UNION ALL
                             (SELECT to_jsonb(o) - 'state' - 'updated_at' FROM before o EXCEPT SELECT to_jsonb(n) - 'state' - 'updated_at' FROM after n)) AS changed);
    END IF;
    IF (SELECT count(*) FROM (SELECT FROM tenant.changes LIMIT 10000) AS waiting) < 10000 THEN
        INSERT INTO tenant.changes (team_id) SELECT unnest(teams);
    END IF;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION tenant.note_change() IS 'Internal: says whose watches are to be made anew.';

DO $$
DECLARE
    one TEXT;
BEGIN
    FOREACH one IN ARRAY '{teams,domains,dns_records,resources}'::TEXT[] LOOP
        EXECUTE format('CREATE TRIGGER note_insert AFTER INSERT ON tenant.%I REFERENCING NEW TABLE AS after
                            FOR EACH STATEMENT EXECUTE FUNCTION tenant.note_change()', one);
        EXECUTE format('CREATE TRIGGER note_update AFTER UPDATE ON tenant.%I REFERENCING OLD TABLE AS before NEW TABLE AS after
                            FOR EACH STATEMENT EXECUTE FUNCTION tenant.note_change()', one);
        EXECUTE format('CREATE TRIGGER note_delete AFTER DELETE ON tenant.%I REFERENCING OLD TABLE AS before
                            FOR EACH STATEMENT EXECUTE FUNCTION tenant.note_change()', one);
    END LOOP;
END $$;

CREATE FUNCTION tenant.delete_watches() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM watch.watches w USING before o WHERE w.team = o.id AND w.source = 'tenant';
    RETURN NULL;
END $$;

COMMENT ON FUNCTION tenant.delete_watches() IS 'Internal: deletes the watches that were made for a team.';

CREATE TRIGGER delete_watches AFTER DELETE ON tenant.teams REFERENCING OLD TABLE AS before
    FOR EACH STATEMENT EXECUTE FUNCTION tenant.delete_watches();

CREATE FUNCTION tenant.note_edit() RETURNS TRIGGER LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.title, NEW.text) IS DISTINCT FROM (OLD.title, OLD.text) THEN
        NEW.edited_at := now();
        NEW.edited_by := session_user;
    END IF;
    RETURN NEW;
END $$;

COMMENT ON FUNCTION tenant.note_edit() IS 'Internal: notes who has edited an incident.';

CREATE TRIGGER note_edit BEFORE UPDATE OF title, text ON tenant.incidents FOR EACH ROW EXECUTE FUNCTION tenant.note_edit();

-- Row-level security --------------------------------------------------------------------------------------------

DO $$
DECLARE
    one TEXT;
BEGIN
    FOREACH one IN ARRAY '{members,domains,dns_records,record_addresses,proxy_configs,alerts,resources,incidents,analytics_data}'::TEXT[] LOOP
        EXECUTE format('ALTER TABLE tenant.%I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY own_team ON tenant.%I USING (team_id = ANY ((SELECT tenant.visible_teams())::TEXT[]))', one);
    END LOOP;
    FOREACH one IN ARRAY '{watches,accepted_prefixes,conditions,silences,incidents,incident_events}'::TEXT[] LOOP
        EXECUTE format('ALTER TABLE watch.%I ENABLE ROW LEVEL SECURITY', one);
        EXECUTE format('CREATE POLICY own_team ON watch.%I USING ((SELECT watch.is_operator()) OR team = (SELECT watch.own_team()))', one);
    END LOOP;
END $$;

ALTER TABLE tenant.teams ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_team ON tenant.teams USING (id = ANY ((SELECT tenant.visible_teams())::TEXT[]));
-- What belongs to no single team is the operator's.
ALTER TABLE tenant.users ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON tenant.users USING ((SELECT watch.is_operator()));
ALTER TABLE tenant.changes ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON tenant.changes USING ((SELECT watch.is_operator()));
ALTER TABLE tenant.progress ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON tenant.progress USING ((SELECT watch.is_operator()));

-- A view shows what its owner sees.
CREATE OR REPLACE VIEW watch.callbacks_public WITH (security_barrier) AS
SELECT c.id, c.team, c.name, c.format, substring(c.url FROM '^(https?://[^/?# ]+)') || '/…' AS target, c.conditions, c.min_severity, c.enabled,
       c.last_at, c.last_status, c.failing_since, waiting.pending, waiting.oldest_pending_at, given_up.dead
FROM watch.callbacks c
CROSS JOIN LATERAL (
    SELECT count(*) AS pending, min(created_at) AS oldest_pending_at FROM watch.deliveries WHERE callback_id = c.id AND state = 'pending'
) waiting
CROSS JOIN LATERAL (SELECT count(*) AS dead FROM watch.deliveries WHERE callback_id = c.id AND state = 'dead') given_up
WHERE (SELECT watch.is_operator()) OR c.team = (SELECT watch.own_team());

-- Comments ------------------------------------------------------------------------------------------------------

COMMENT ON TABLE tenant.teams IS 'The teams. Written by the owner, by SQL or `rib-ingester import tenants`.';
COMMENT ON COLUMN tenant.teams.id IS 'Its identifier; watch.watches.team and every other column team has it. Identifiers of the source are kept as text.';
COMMENT ON COLUMN tenant.teams.name IS 'What people call it.';
COMMENT ON COLUMN tenant.teams.mail IS 'Where it is reached; nothing is sent there.';
COMMENT ON COLUMN tenant.teams.max_watches IS 'How many addresses of its DNS records are watched at most; further records have the state over_limit.';
COMMENT ON COLUMN tenant.teams.created_at IS 'When it was made.';
COMMENT ON COLUMN tenant.teams.updated_at IS 'When it was changed, as whoever changed it says.';

COMMENT ON TABLE tenant.users IS 'People, without passwords and tokens. Teams see their own by tenant.people().';
COMMENT ON COLUMN tenant.users.id IS 'The identifier of the source.';
COMMENT ON COLUMN tenant.users.name IS 'The name.';
COMMENT ON COLUMN tenant.users.email IS 'The mail address.';
COMMENT ON COLUMN tenant.users.created_at IS 'When it was made.';
COMMENT ON COLUMN tenant.users.updated_at IS 'When it was changed, as whoever changed it says.';

COMMENT ON TABLE tenant.members IS 'Who belongs to which team.';
COMMENT ON COLUMN tenant.members.team_id IS 'The team.';
COMMENT ON COLUMN tenant.members.user_id IS 'The user.';
COMMENT ON COLUMN tenant.members.role IS 'The role in the team, as the source names it.';
COMMENT ON COLUMN tenant.members.db_role IS 'The role of PostgreSQL with which the member logs in, one that watch.team_roles has for this team; NULL: none. An import cannot invent one.';

COMMENT ON TABLE tenant.domains IS 'Managed hostnames of teams.';
COMMENT ON COLUMN tenant.domains.team_id IS 'The team.';
COMMENT ON COLUMN tenant.domains.id IS 'The identifier of the source.';
COMMENT ON COLUMN tenant.domains.hostname IS 'The hostname, unique in its team.';
COMMENT ON COLUMN tenant.domains.tls_state IS 'pending, active, expired; NULL: unknown. Stored, not acted on.';
COMMENT ON COLUMN tenant.domains.is_verified IS 'Whether the source has verified who owns it. Stored, not acted on.';
COMMENT ON COLUMN tenant.domains.waf_state IS 'The state of the web application firewall. Stored, not acted on.';
COMMENT ON COLUMN tenant.domains.created_at IS 'When it was made.';
COMMENT ON COLUMN tenant.domains.updated_at IS 'When it was changed, as whoever changed it says.';

COMMENT ON TABLE tenant.dns_records IS 'DNS records of domains. Addresses inside the resources of the team are watched.';
COMMENT ON COLUMN tenant.dns_records.team_id IS 'The team.';
COMMENT ON COLUMN tenant.dns_records.id IS 'The identifier of the source.';
COMMENT ON COLUMN tenant.dns_records.domain_id IS 'The domain.';
COMMENT ON COLUMN tenant.dns_records.type IS 'A, AAAA, CNAME, MX and so on.';
COMMENT ON COLUMN tenant.dns_records.name IS 'The name: @ is the hostname of the domain; a name that neither ends in the hostname nor in a dot is below it.';
COMMENT ON COLUMN tenant.dns_records.content IS 'The address, the name or the text.';
COMMENT ON COLUMN tenant.dns_records.ttl IS 'Seconds to live.';
COMMENT ON COLUMN tenant.dns_records.priority IS 'The priority of an MX.';
COMMENT ON COLUMN tenant.dns_records.address IS 'The address of an A or AAAA.';
COMMENT ON COLUMN tenant.dns_records.state IS 'watched: its address is, or one that the CNAME leads to. not_permitted: no resource of the team holds the address. over_limit: the team has max_watches already. unresolved: the CNAME leads to no address within the records of the team. not_followed: another type. NULL: not looked at yet.';
COMMENT ON COLUMN tenant.dns_records.created_at IS 'When it was made.';
COMMENT ON COLUMN tenant.dns_records.updated_at IS 'When it was changed, as whoever changed it says.';

COMMENT ON TABLE tenant.record_addresses IS 'The addresses that each record leads to, CNAMEs followed within the records of the team. Written by the collector.';
COMMENT ON COLUMN tenant.record_addresses.team_id IS 'The team.';
COMMENT ON COLUMN tenant.record_addresses.record_id IS 'The record.';
COMMENT ON COLUMN tenant.record_addresses.address IS 'The address.';
COMMENT ON COLUMN tenant.record_addresses.watch_id IS 'The watch of the address, one for all records of the team; NULL: not watched.';

COMMENT ON TABLE tenant.proxy_configs IS 'The proxy configuration of a domain.';
COMMENT ON COLUMN tenant.proxy_configs.team_id IS 'The team.';
COMMENT ON COLUMN tenant.proxy_configs.id IS 'The identifier of the source.';
COMMENT ON COLUMN tenant.proxy_configs.domain_id IS 'The domain, which has one.';
COMMENT ON COLUMN tenant.proxy_configs.config IS 'Rules, caching, limits: stored, not interpreted.';
COMMENT ON COLUMN tenant.proxy_configs.created_at IS 'When it was made.';
COMMENT ON COLUMN tenant.proxy_configs.updated_at IS 'When it was changed, as whoever changed it says.';

COMMENT ON TABLE tenant.alerts IS 'Alerts of the source about a domain. Stored, not acted on: what the routes say is in tenant.incidents.';
COMMENT ON COLUMN tenant.alerts.team_id IS 'The team.';
COMMENT ON COLUMN tenant.alerts.id IS 'The identifier of the source.';
COMMENT ON COLUMN tenant.alerts.domain_id IS 'The domain.';
COMMENT ON COLUMN tenant.alerts.type IS 'The kind of alert.';
COMMENT ON COLUMN tenant.alerts.severity IS 'Its severity, in the words of the source.';
COMMENT ON COLUMN tenant.alerts.message IS 'Its text.';
COMMENT ON COLUMN tenant.alerts.detail IS 'What else the source says.';
COMMENT ON COLUMN tenant.alerts.created_at IS 'When it was made.';
COMMENT ON COLUMN tenant.alerts.resolved_at IS 'When it was over.';

COMMENT ON TABLE tenant.resources IS 'What a team may watch and look up, as an administrator grants it.';
COMMENT ON COLUMN tenant.resources.team_id IS 'The team.';
COMMENT ON COLUMN tenant.resources.id IS 'Its identifier.';
COMMENT ON COLUMN tenant.resources.prefix IS 'The prefix, of /8 or longer, IPv6 /16 or longer. Teams may overlap.';
COMMENT ON COLUMN tenant.resources.origin_asn IS 'An AS that may originate it; NULL: the origin is not judged. Several ASes are several rows.';
COMMENT ON COLUMN tenant.resources.mail IS 'Whom to ask about it; nothing is sent there.';
COMMENT ON COLUMN tenant.resources.is_watched IS 'True if the prefix itself is watched, besides the addresses in it. The team may change it.';
COMMENT ON COLUMN tenant.resources.created_at IS 'When it was granted.';
COMMENT ON COLUMN tenant.resources.updated_at IS 'When it was changed, as whoever changed it says.';

COMMENT ON TABLE tenant.incidents IS 'What teams tell their users: one row for each domain or resource that an incident of watch.incidents is about. Kept for 400 days after the end, those that somebody edited for good.';
COMMENT ON COLUMN tenant.incidents.team_id IS 'The team.';
COMMENT ON COLUMN tenant.incidents.id IS 'Its identifier.';
COMMENT ON COLUMN tenant.incidents.domain_id IS 'The domain; NULL: it is about a resource or another watch of the team.';
COMMENT ON COLUMN tenant.incidents.resource_id IS 'The resource whose prefix it is about.';
COMMENT ON COLUMN tenant.incidents.incident_id IS 'The number in watch.incidents; NULL: it was imported, or that one has been deleted by its age.';
COMMENT ON COLUMN tenant.incidents.condition IS 'The condition of the watch.';
COMMENT ON COLUMN tenant.incidents.severity IS 'critical: critical or error in watch.incidents. major: a warning, and at some router no route covers the address or prefix. minor: the rest.';
COMMENT ON COLUMN tenant.incidents.state IS 'investigating: opened. identified: acknowledged or snoozed. monitoring: the condition is over, and it has not closed yet. resolved: closed.';
COMMENT ON COLUMN tenant.incidents.title IS 'The title: summary at the opening until somebody edits it.';
COMMENT ON COLUMN tenant.incidents.text IS 'What somebody says about it; the collector never writes it.';
COMMENT ON COLUMN tenant.incidents.summary IS 'The line of the collector, always the latest.';
COMMENT ON COLUMN tenant.incidents.opened_at IS 'When it opened.';
COMMENT ON COLUMN tenant.incidents.acknowledged_at IS 'When it was acknowledged.';
COMMENT ON COLUMN tenant.incidents.acknowledged_by IS 'Who did.';
COMMENT ON COLUMN tenant.incidents.resolved_at IS 'When it closed.';
COMMENT ON COLUMN tenant.incidents.acknowledge_asked_by IS 'The role that acknowledged it by tenant.acknowledge(), until the collector has told the callbacks.';
COMMENT ON COLUMN tenant.incidents.edited_at IS 'When title or text were edited last.';
COMMENT ON COLUMN tenant.incidents.edited_by IS 'The role that did.';

COMMENT ON TABLE tenant.analytics_data IS 'Changes of routes and times without one, per domain and resource. A minute is counted again for 5 minutes after its end, because events may come late. Minutes are kept 7 days, hours 400 days; where nothing happened there is no row.';
COMMENT ON COLUMN tenant.analytics_data.team_id IS 'The team.';
COMMENT ON COLUMN tenant.analytics_data.domain_id IS 'The domain: changes of prefixes inside the resources of the team that cover one of its addresses.';
COMMENT ON COLUMN tenant.analytics_data.resource_id IS 'The resource: changes of all prefixes inside it.';
COMMENT ON COLUMN tenant.analytics_data.bucket IS 'When the minute or hour begins, in UTC.';
COMMENT ON COLUMN tenant.analytics_data.width IS 'minute or hour.';
COMMENT ON COLUMN tenant.analytics_data.announcements IS 'Routes that were announced or changed. Of the Loc-RIB where the router has one, else after policy, else before.';
COMMENT ON COLUMN tenant.analytics_data.withdrawals IS 'Routes that were withdrawn.';
COMMENT ON COLUMN tenant.analytics_data.path_changes IS 'Announcements with another AS path than the route had, within a day.';
COMMENT ON COLUMN tenant.analytics_data.unreachable_secs IS 'Seconds in which an incident of the condition missing was not over.';
COMMENT ON COLUMN tenant.analytics_data.has_history IS 'False if the history of a connected router was off: its changes are not counted.';

COMMENT ON TABLE tenant.changes IS 'Internal: whose watches are to be made anew.';
COMMENT ON COLUMN tenant.changes.id IS 'Its number.';
COMMENT ON COLUMN tenant.changes.team_id IS 'The team.';

COMMENT ON TABLE tenant.progress IS 'Internal: how far the collector has come, one row.';
COMMENT ON COLUMN tenant.progress.is_only IS 'Always true.';
COMMENT ON COLUMN tenant.progress.checked_at IS 'When the watches of all teams were made anew.';
COMMENT ON COLUMN tenant.progress.incidents_at IS 'Until when events of incidents were read.';
COMMENT ON COLUMN tenant.progress.analyzed_at IS 'Until when changes were counted.';
COMMENT ON COLUMN tenant.progress.forgotten_at IS 'When old rows were deleted last.';
