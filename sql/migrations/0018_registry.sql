-- The peering registry: who has a BGP session on which router, and whether the router agrees. The tables users, routers,
-- bgp_sessions and settings have the columns of the registry whose agents work with them; the rest is ours.

DO $$
BEGIN
    -- IF NOT EXISTS asks for the right to create one even where an administrator has made it.
    IF to_regnamespace('registry') IS NULL THEN
        CREATE SCHEMA registry;
    ELSIF to_regclass('registry.session_observations') IS NOT NULL THEN
        RAISE EXCEPTION 'the schema registry of this database belongs to a collector whose tables are in another schema: use another database'
            USING ERRCODE = 'duplicate_schema';
    END IF;
END $$;

COMMENT ON SCHEMA registry IS 'The peering registry: users, routers and BGP sessions, and what the routers say of them.';

CREATE TABLE registry.users (
    id          SERIAL PRIMARY KEY,
    telegram_id BIGINT,
    asn         BIGINT,
    person      VARCHAR(200),
    is_admin    BOOLEAN     NOT NULL DEFAULT false,
    is_blocked  BOOLEAN     NOT NULL DEFAULT false,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX users_telegram_id ON registry.users (telegram_id);
CREATE UNIQUE INDEX users_asn ON registry.users (asn);

COMMENT ON TABLE registry.users IS 'Who has sessions.';
COMMENT ON COLUMN registry.users.id IS 'Its number.';
COMMENT ON COLUMN registry.users.telegram_id IS 'The Telegram account.';
COMMENT ON COLUMN registry.users.asn IS 'The AS.';
COMMENT ON COLUMN registry.users.person IS 'The maintainer of the AS by WHOIS.';
COMMENT ON COLUMN registry.users.is_admin IS 'True for an administrator of the registry.';
COMMENT ON COLUMN registry.users.is_blocked IS 'True if the registry refuses the user.';
COMMENT ON COLUMN registry.users.created_at IS 'When the row was made.';
COMMENT ON COLUMN registry.users.updated_at IS 'When the row was changed.';

CREATE TABLE registry.routers (
    uuid         UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name         VARCHAR(100),
    location     VARCHAR(200),
    ipv4         VARCHAR(50),
    ipv6         VARCHAR(100),
    callback_url VARCHAR(200),
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    router_id    TEXT UNIQUE
);

COMMENT ON TABLE registry.routers IS 'The routers of the registry.';
COMMENT ON COLUMN registry.routers.uuid IS 'Its key.';
COMMENT ON COLUMN registry.routers.name IS 'Its name.';
COMMENT ON COLUMN registry.routers.location IS 'Where it stands.';
COMMENT ON COLUMN registry.routers.ipv4 IS 'Its public IPv4 address.';
COMMENT ON COLUMN registry.routers.ipv6 IS 'Its public IPv6 address.';
COMMENT ON COLUMN registry.routers.callback_url IS 'The URL of its agent.';
COMMENT ON COLUMN registry.routers.created_at IS 'When the row was made.';
COMMENT ON COLUMN registry.routers.updated_at IS 'When the row was changed.';
COMMENT ON COLUMN registry.routers.router_id IS 'Which monitored router it is: routers.router_id. NULL: the one whose hostname is name, else whose router_ip is ipv4 or ipv6; see router_bindings. Not a column of the registry.';

CREATE TABLE registry.bgp_sessions (
    uuid            UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    router          UUID        NOT NULL REFERENCES registry.routers (uuid),
    asn             BIGINT      NOT NULL,
    status          SMALLINT    NOT NULL,
    mtu             INTEGER DEFAULT 1420,
    policy          VARCHAR(50),
    ipv4            VARCHAR(50),
    ipv6            VARCHAR(100),
    ipv6_link_local VARCHAR(100),
    type            VARCHAR(20),
    extensions      JSONB,
    interface       VARCHAR(50),
    endpoint        VARCHAR(100),
    credential      JSONB,
    data            JSONB,
    last_error      TEXT,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at      TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE INDEX bgp_sessions_router ON registry.bgp_sessions (router);
CREATE INDEX bgp_sessions_asn ON registry.bgp_sessions (asn);
CREATE INDEX bgp_sessions_status ON registry.bgp_sessions (status);

COMMENT ON TABLE registry.bgp_sessions IS 'BGP sessions as the registry wants them. The collector writes status, last_error and updated_at, and only where settings allow it.';
COMMENT ON COLUMN registry.bgp_sessions.uuid IS 'Its key.';
COMMENT ON COLUMN registry.bgp_sessions.router IS 'The router.';
COMMENT ON COLUMN registry.bgp_sessions.asn IS 'The AS of the peer.';
COMMENT ON COLUMN registry.bgp_sessions.status IS 'A number whose meaning is in status_codes(); as documented: 0 disabled, 1 active, 2 error, 3 pending review, 4 queued for setup, 5 queued for delete, 6 setup failed.';
COMMENT ON COLUMN registry.bgp_sessions.mtu IS 'The MTU of the tunnel.';
COMMENT ON COLUMN registry.bgp_sessions.policy IS 'What may be received: 0 or full, 1 or peer, 2 or upstream, 3 or downstream. See policy_misfits.';
COMMENT ON COLUMN registry.bgp_sessions.ipv4 IS 'The IPv4 address of the peer.';
COMMENT ON COLUMN registry.bgp_sessions.ipv6 IS 'The IPv6 address of the peer.';
COMMENT ON COLUMN registry.bgp_sessions.ipv6_link_local IS 'The link-local address of the peer.';
COMMENT ON COLUMN registry.bgp_sessions.type IS 'The type of the tunnel.';
COMMENT ON COLUMN registry.bgp_sessions.extensions IS 'BGP extensions, for the agent.';
COMMENT ON COLUMN registry.bgp_sessions.interface IS 'The interface of the tunnel.';
COMMENT ON COLUMN registry.bgp_sessions.endpoint IS 'The other end of the tunnel.';
COMMENT ON COLUMN registry.bgp_sessions.credential IS 'Keys of the tunnel, for the agent. The import leaves it empty.';
COMMENT ON COLUMN registry.bgp_sessions.data IS 'What else the registry has: of it max_prefix, a number of routes, and downstreams, an array of AS numbers, are read by policy_misfits.';
COMMENT ON COLUMN registry.bgp_sessions.last_error IS 'Why it is in error, in words.';
COMMENT ON COLUMN registry.bgp_sessions.created_at IS 'When the row was made.';
COMMENT ON COLUMN registry.bgp_sessions.updated_at IS 'When the row was changed; each write by the collector moves it.';

CREATE TABLE registry.settings (
    key   VARCHAR(100) PRIMARY KEY,
    value TEXT
);

COMMENT ON TABLE registry.settings IS 'Settings of the registry, among them those of the collector: write_status, status_codes, callback, watches, ignore_peers, down_after_secs, settle_secs, overdue_after_secs.';
COMMENT ON COLUMN registry.settings.key IS 'The name.';
COMMENT ON COLUMN registry.settings.value IS 'The value. A wrong one for a setting of the collector is refused with a sentence.';

CREATE FUNCTION registry.check_setting() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    names CONSTANT TEXT := 'DISABLED|ACTIVE|ERROR|PENDING_REVIEW|QUEUED_FOR_SETUP|QUEUED_FOR_DELETE|SETUP_FAILED';
    allowed TEXT;
    one TEXT;
BEGIN
    IF NEW.key IN ('write_status', 'watches') AND NEW.value IN ('on', 'off') IS NOT TRUE THEN
        allowed := 'on, off';
    ELSIF NEW.key = 'callback' AND NEW.value ~ '^(off|post|get:/[!-"$-~]*)$' IS NOT TRUE THEN
        allowed := 'off, post, get:/PATH';
    ELSIF NEW.key IN ('down_after_secs', 'settle_secs', 'overdue_after_secs')
            AND (NEW.value ~ '^[0-9]{1,6}$' AND NEW.value::INTEGER <= 604800) IS NOT TRUE THEN
        allowed := '0 to 604800';
    ELSIF NEW.key = 'status_codes' AND NEW.value IS DISTINCT FROM 'documented' THEN
        allowed := 'documented, or a list such as DISABLED=0,ACTIVE=1,ERROR=2 in which ACTIVE and ERROR are and no name and no number is twice';
        IF NEW.value ~ format('^(%s)=[0-9]{1,4}(\s*,\s*(%s)=[0-9]{1,4})*$', names, names) AND NEW.value ~ '\yACTIVE=' AND NEW.value ~ '\yERROR='
                AND (SELECT count(*) = count(DISTINCT split_part(pair, '=', 1)) AND count(*) = count(DISTINCT split_part(pair, '=', 2)::INTEGER)
                     FROM regexp_split_to_table(NEW.value, '\s*,\s*') AS pair) THEN
            allowed := NULL;
        END IF;
    ELSIF NEW.key = 'ignore_peers' THEN
        FOREACH one IN ARRAY regexp_split_to_array(btrim(COALESCE(NEW.value, ''), E' \t\n,'), '[\s,]+') LOOP
            IF one <> '' AND one !~* '^(AS)?[0-9]{1,10}$' THEN
                BEGIN
                    PERFORM one::INET;
                EXCEPTION WHEN invalid_text_representation THEN
                    allowed := 'addresses, prefixes and AS numbers';
                END;
            END IF;
        END LOOP;
    END IF;
    IF allowed IS NOT NULL THEN
        RAISE EXCEPTION 'registry setting %: "%" is not allowed; allowed: %', NEW.key, left(NEW.value, 200), allowed USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;

COMMENT ON FUNCTION registry.check_setting() IS 'Internal: refuses a setting of the collector that it cannot follow, in words.';

CREATE TRIGGER check_setting BEFORE INSERT OR UPDATE ON registry.settings FOR EACH ROW EXECUTE FUNCTION registry.check_setting();

CREATE FUNCTION registry.status_codes() RETURNS TABLE (code SMALLINT, name TEXT) LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT split_part(pair, '=', 2)::SMALLINT, split_part(pair, '=', 1)
    FROM regexp_split_to_table(
        COALESCE(NULLIF((SELECT value FROM registry.settings WHERE key = 'status_codes'), 'documented'),
                 'DISABLED=0,ACTIVE=1,ERROR=2,PENDING_REVIEW=3,QUEUED_FOR_SETUP=4,QUEUED_FOR_DELETE=5,SETUP_FAILED=6'),
        '\s*,\s*') AS pair;
END;

COMMENT ON FUNCTION registry.status_codes() IS 'The meaning of the numbers in bgp_sessions.status, by the setting status_codes; as documented where it is not set.';

CREATE TABLE registry.session_observations (
    session_uuid    UUID PRIMARY KEY REFERENCES registry.bgp_sessions ON DELETE CASCADE,
    verdict         TEXT CHECK (verdict IN ('up', 'partial', 'down', 'flapping', 'unknown', 'unexpected_up', 'overdue', 'delete_pending', 'gone',
                                            'wrong_asn', 'ambiguous', 'unbound', 'other_status')),
    since           TIMESTAMPTZ NOT NULL,
    peers_up        INTEGER     NOT NULL,
    peers_expected  INTEGER     NOT NULL CHECK (peers_expected >= 1),
    flaps           BIGINT      NOT NULL,
    routes_received BIGINT,
    reason          TEXT,
    changed_at      TIMESTAMPTZ NOT NULL,
    row_updated_at  TIMESTAMPTZ NOT NULL,
    is_own          BOOLEAN     NOT NULL,
    written_at      TIMESTAMPTZ[] NOT NULL DEFAULT '{}'
);

COMMENT ON TABLE registry.session_observations IS 'What the routers say of each session, written by the collector whether or not it may write bgp_sessions.';
COMMENT ON COLUMN registry.session_observations.session_uuid IS 'The session.';
COMMENT ON COLUMN registry.session_observations.verdict IS 'up; partial: fewer peers than expected; down; flapping: 3 changes in an hour, the status follows each 15 minutes; unknown: the router is not watched now; unexpected_up: up though disabled or under review; overdue: waits for its setup for too long; delete_pending: to be deleted, still up; gone: to be deleted, not up; wrong_asn: its address has another AS; ambiguous: nobody can tell which peer is its own; unbound: its router is not known here; other_status: a number that status_codes() does not have. NULL: as it should be, not up.';
COMMENT ON COLUMN registry.session_observations.since IS 'Since when.';
COMMENT ON COLUMN registry.session_observations.peers_up IS 'How many of its peers are up.';
COMMENT ON COLUMN registry.session_observations.peers_expected IS 'How many were up together since its owner changed the row, at least 1.';
COMMENT ON COLUMN registry.session_observations.flaps IS 'How often its peers went down, as far as was seen: the sum of peers.flap_count.';
COMMENT ON COLUMN registry.session_observations.routes_received IS 'How many routes its peers have sent, before policy where that is stored, about a minute ago or less; NULL: none is stored.';
COMMENT ON COLUMN registry.session_observations.reason IS 'Why, in words.';
COMMENT ON COLUMN registry.session_observations.changed_at IS 'When this row was written last.';
COMMENT ON COLUMN registry.session_observations.row_updated_at IS 'The updated_at of the session that it was made of: another one says that somebody has changed the session.';
COMMENT ON COLUMN registry.session_observations.is_own IS 'True if the collector wrote that updated_at.';
COMMENT ON COLUMN registry.session_observations.written_at IS 'When the collector wrote the session in the last hour.';

CREATE TABLE registry.session_watches (
    session_uuid UUID   NOT NULL REFERENCES registry.bgp_sessions ON DELETE CASCADE,
    peer_address INET   NOT NULL,
    watch_id     BIGINT NOT NULL REFERENCES watch.watches ON DELETE CASCADE,
    PRIMARY KEY (session_uuid, peer_address)
);

CREATE INDEX session_watches_watch ON registry.session_watches (watch_id);

COMMENT ON TABLE registry.session_watches IS 'The watches that the collector keeps for sessions, where the setting watches is on.';
COMMENT ON COLUMN registry.session_watches.session_uuid IS 'The session.';
COMMENT ON COLUMN registry.session_watches.peer_address IS 'The address of its peer.';
COMMENT ON COLUMN registry.session_watches.watch_id IS 'The watch of kind session.';

-- Which peer is whose -------------------------------------------------------------------------------------------

-- The columns are texts of another system: an address that is none fits nothing.
CREATE FUNCTION registry.address(text TEXT) RETURNS INET LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN split_part(split_part(btrim(text), '/', 1), '%', 1)::INET;
EXCEPTION WHEN invalid_text_representation THEN
    RETURN NULL;
END $$;

COMMENT ON FUNCTION registry.address(TEXT) IS 'Internal: an address without its zone and length, or NULL.';

CREATE VIEW registry.router_bindings AS
WITH candidates AS (
    SELECT r.uuid, r.name, r.router_id AS told,
           ARRAY(SELECT p.router_id FROM routers p WHERE lower(p.hostname) = lower(r.name)) AS by_name,
           ARRAY(SELECT p.router_id FROM routers p WHERE p.router_ip IN (registry.address(r.ipv4), registry.address(r.ipv6))) AS by_address
    FROM registry.routers r
), chosen AS (
    SELECT uuid, name,
           CASE WHEN told IS NOT NULL THEN 'router_id' WHEN by_name <> '{}' THEN 'name' WHEN by_address <> '{}' THEN 'address' END AS bound_by,
           CASE WHEN told IS NOT NULL THEN ARRAY[told] WHEN by_name <> '{}' THEN by_name ELSE by_address END AS found
    FROM candidates
), told AS (
    SELECT uuid, name, bound_by, found,
           CASE WHEN found = '{}' THEN 'unknown'
                WHEN cardinality(found) > 1 THEN 'ambiguous'
                WHEN bound_by <> 'router_id' AND count(*) OVER (PARTITION BY found) > 1 THEN 'ambiguous'
           END AS problem
    FROM chosen
)
SELECT uuid AS router, name, CASE WHEN problem IS NULL THEN found[1] END AS router_id, bound_by, problem FROM told;

COMMENT ON VIEW registry.router_bindings IS 'Which monitored router each router of the registry is.';
COMMENT ON COLUMN registry.router_bindings.router IS 'The router of the registry.';
COMMENT ON COLUMN registry.router_bindings.name IS 'Its name.';
COMMENT ON COLUMN registry.router_bindings.router_id IS 'The monitored router; NULL: see problem.';
COMMENT ON COLUMN registry.router_bindings.bound_by IS 'router_id: the column says it; name: its hostname; address: where its session comes from.';
COMMENT ON COLUMN registry.router_bindings.problem IS 'unknown: no monitored router fits; ambiguous: several fit, or it is that of another row too. Set registry.routers.router_id.';

CREATE VIEW registry.monitored_peers AS
WITH live AS (
    SELECT s.router_id, max(s.began_at) AS began_at
    FROM bmp_sessions s JOIN collectors c USING (collector_id)
    WHERE s.state IN ('dumping', 'up') AND c.alive_until > now()
    GROUP BY s.router_id
)
SELECT p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn, p.description, p.last_reason, p.since, p.flap_count,
       p.state = 'up' AND (p.updated_at >= l.began_at) IS TRUE AS is_up,
       (p.updated_at >= l.began_at) IS TRUE AS is_reported
FROM peers p LEFT JOIN live l USING (router_id);

COMMENT ON VIEW registry.monitored_peers IS 'The peers that routers report, and whether they are up in the live BMP session.';
COMMENT ON COLUMN registry.monitored_peers.router_id IS 'As peers.router_id.';
COMMENT ON COLUMN registry.monitored_peers.peer_type IS 'As peers.peer_type.';
COMMENT ON COLUMN registry.monitored_peers.distinguisher IS 'As peers.distinguisher.';
COMMENT ON COLUMN registry.monitored_peers.peer_address IS 'As peers.peer_address.';
COMMENT ON COLUMN registry.monitored_peers.peer_asn IS 'As peers.peer_asn.';
COMMENT ON COLUMN registry.monitored_peers.description IS 'As peers.description.';
COMMENT ON COLUMN registry.monitored_peers.last_reason IS 'As peers.last_reason.';
COMMENT ON COLUMN registry.monitored_peers.since IS 'As peers.since.';
COMMENT ON COLUMN registry.monitored_peers.flap_count IS 'As peers.flap_count.';
COMMENT ON COLUMN registry.monitored_peers.is_up IS 'True if a Peer Up arrived in the live BMP session, and no Peer Down since. peers.state alone may be what an earlier session has left.';
COMMENT ON COLUMN registry.monitored_peers.is_reported IS 'True if anything arrived about it in the live BMP session.';

CREATE VIEW registry.session_peers AS
WITH bound AS (
    SELECT s.uuid, s.asn, b.router_id,
           ARRAY[registry.address(s.ipv6_link_local), registry.address(s.ipv6), registry.address(s.ipv4)] AS addresses,
           count(*) OVER (PARTITION BY b.router_id, s.asn) AS sessions
    FROM registry.bgp_sessions s JOIN registry.router_bindings b ON b.router = s.router
    WHERE b.router_id IS NOT NULL
), peer AS MATERIALIZED (
    SELECT *, count(*) FILTER (WHERE is_reported) OVER (PARTITION BY router_id, peer_asn) AS of_as FROM registry.monitored_peers
), at_address AS MATERIALIZED (
    SELECT b.uuid, b.asn, p.*,
           count(*) FILTER (WHERE p.peer_asn = b.asn) OVER (PARTITION BY p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn) AS owners
    FROM bound b CROSS JOIN LATERAL (SELECT DISTINCT address FROM unnest(b.addresses) AS given (address)) AS own
    JOIN peer p ON p.router_id = b.router_id AND p.peer_address = own.address
), by_address AS (
    SELECT a.*, CASE WHEN a.owners > 1 THEN 'ambiguous' ELSE 'address' END AS fit FROM at_address a WHERE a.peer_asn = a.asn
), by_asn AS (
    -- Of peers that others have by their address it is known whose they are.
    SELECT b.uuid, b.asn, p.*, 0::BIGINT AS owners,
           CASE WHEN b.sessions = 1 AND p.of_as = 1 THEN 'asn' ELSE 'ambiguous' END AS fit
    FROM bound b JOIN peer p ON p.router_id = b.router_id AND p.peer_asn = b.asn AND p.is_reported
    WHERE NOT EXISTS (SELECT FROM at_address a WHERE a.uuid = b.uuid AND (a.peer_asn = b.asn OR a.is_reported AND a.owners = 0))
      AND NOT EXISTS (SELECT FROM by_address o
                      WHERE o.router_id = p.router_id AND o.peer_type = p.peer_type AND o.distinguisher = p.distinguisher
                        AND o.peer_address = p.peer_address AND o.peer_asn = p.peer_asn)
), all_fits AS (
    SELECT * FROM by_address
    UNION ALL SELECT * FROM by_asn
    -- At a link-local address many ASes may be: those of other sessions say nothing.
    UNION ALL SELECT a.*, 'wrong_asn' FROM at_address a
    WHERE a.peer_asn <> a.asn AND a.is_reported AND a.owners = 0 AND NOT EXISTS (SELECT FROM by_address o WHERE o.uuid = a.uuid)
)
SELECT uuid AS session_uuid, fit, router_id, peer_type, distinguisher, peer_address, peer_asn, description, is_up, is_reported, last_reason, since, flap_count
FROM all_fits;

COMMENT ON VIEW registry.session_peers IS 'Which peers belong to which session: those of its router with one of its addresses and its AS; where there is none, by the AS alone if the router has one session and one peer of it.';
COMMENT ON COLUMN registry.session_peers.session_uuid IS 'The session.';
COMMENT ON COLUMN registry.session_peers.fit IS 'address, asn: it is a peer of the session. wrong_asn: its address, with another AS. ambiguous: it may be that of another session too.';
COMMENT ON COLUMN registry.session_peers.router_id IS 'As peers.router_id.';
COMMENT ON COLUMN registry.session_peers.peer_type IS 'As peers.peer_type.';
COMMENT ON COLUMN registry.session_peers.distinguisher IS 'As peers.distinguisher.';
COMMENT ON COLUMN registry.session_peers.peer_address IS 'As peers.peer_address.';
COMMENT ON COLUMN registry.session_peers.peer_asn IS 'As peers.peer_asn.';
COMMENT ON COLUMN registry.session_peers.description IS 'As peers.description.';
COMMENT ON COLUMN registry.session_peers.is_up IS 'As monitored_peers.is_up.';
COMMENT ON COLUMN registry.session_peers.is_reported IS 'As monitored_peers.is_reported.';
COMMENT ON COLUMN registry.session_peers.last_reason IS 'As peers.last_reason.';
COMMENT ON COLUMN registry.session_peers.since IS 'As peers.since.';
COMMENT ON COLUMN registry.session_peers.flap_count IS 'As peers.flap_count.';

-- What people ask -----------------------------------------------------------------------------------------------

CREATE VIEW registry.sessions_overview AS
SELECT s.uuid, r.name AS router_name, b.router_id, s.asn, u.person, s.status, COALESCE(c.name, s.status::TEXT) AS status_name,
       o.verdict, o.since, o.reason, o.peers_up, o.peers_expected, o.flaps, o.routes_received, s.policy,
       s.ipv4, s.ipv6, s.ipv6_link_local, s.interface, s.last_error, s.updated_at, i.incident_id,
       COALESCE(o.verdict NOT IN ('up', 'gone', 'delete_pending'), false) OR COALESCE(c.name IN ('ERROR', 'SETUP_FAILED'), false) AS is_bad
FROM registry.bgp_sessions s
JOIN registry.routers r ON r.uuid = s.router
LEFT JOIN registry.router_bindings b ON b.router = s.router
LEFT JOIN registry.users u ON u.asn = s.asn
LEFT JOIN registry.session_observations o ON o.session_uuid = s.uuid
LEFT JOIN registry.status_codes() c ON c.code = s.status
LEFT JOIN LATERAL (
    SELECT max(i.id) AS incident_id FROM registry.session_watches w JOIN watch.incidents i USING (watch_id)
    WHERE w.session_uuid = s.uuid AND i.state <> 'closed'
) i ON true;

COMMENT ON VIEW registry.sessions_overview IS 'Each session as it should be, beside what its router says.';
COMMENT ON COLUMN registry.sessions_overview.uuid IS 'The session.';
COMMENT ON COLUMN registry.sessions_overview.router_name IS 'The name of its router.';
COMMENT ON COLUMN registry.sessions_overview.router_id IS 'The monitored router; NULL: unbound, see router_bindings.';
COMMENT ON COLUMN registry.sessions_overview.asn IS 'The AS of the peer.';
COMMENT ON COLUMN registry.sessions_overview.person IS 'The user with that AS.';
COMMENT ON COLUMN registry.sessions_overview.status IS 'The number.';
COMMENT ON COLUMN registry.sessions_overview.status_name IS 'Its name by status_codes(), else the number.';
COMMENT ON COLUMN registry.sessions_overview.verdict IS 'As session_observations.verdict.';
COMMENT ON COLUMN registry.sessions_overview.since IS 'Since when.';
COMMENT ON COLUMN registry.sessions_overview.reason IS 'Why, in words.';
COMMENT ON COLUMN registry.sessions_overview.peers_up IS 'As session_observations.peers_up.';
COMMENT ON COLUMN registry.sessions_overview.peers_expected IS 'As session_observations.peers_expected.';
COMMENT ON COLUMN registry.sessions_overview.flaps IS 'As session_observations.flaps.';
COMMENT ON COLUMN registry.sessions_overview.routes_received IS 'As session_observations.routes_received.';
COMMENT ON COLUMN registry.sessions_overview.policy IS 'As bgp_sessions.policy.';
COMMENT ON COLUMN registry.sessions_overview.ipv4 IS 'As bgp_sessions.ipv4.';
COMMENT ON COLUMN registry.sessions_overview.ipv6 IS 'As bgp_sessions.ipv6.';
COMMENT ON COLUMN registry.sessions_overview.ipv6_link_local IS 'As bgp_sessions.ipv6_link_local.';
COMMENT ON COLUMN registry.sessions_overview.interface IS 'As bgp_sessions.interface.';
COMMENT ON COLUMN registry.sessions_overview.last_error IS 'As bgp_sessions.last_error.';
COMMENT ON COLUMN registry.sessions_overview.updated_at IS 'As bgp_sessions.updated_at.';
COMMENT ON COLUMN registry.sessions_overview.incident_id IS 'An incident of it that is not closed, where the setting watches is on.';
COMMENT ON COLUMN registry.sessions_overview.is_bad IS 'True if somebody should look at it.';

CREATE VIEW registry.overdue_sessions AS
SELECT uuid, router_name, router_id, asn, person, updated_at AS queued_at, reason FROM registry.sessions_overview WHERE verdict = 'overdue';

COMMENT ON VIEW registry.overdue_sessions IS 'Sessions that wait for their setup for longer than overdue_after_secs (900).';
COMMENT ON COLUMN registry.overdue_sessions.uuid IS 'The session.';
COMMENT ON COLUMN registry.overdue_sessions.router_name IS 'The name of its router.';
COMMENT ON COLUMN registry.overdue_sessions.router_id IS 'The monitored router.';
COMMENT ON COLUMN registry.overdue_sessions.asn IS 'The AS of the peer.';
COMMENT ON COLUMN registry.overdue_sessions.person IS 'The user with that AS.';
COMMENT ON COLUMN registry.overdue_sessions.queued_at IS 'When the row was changed last.';
COMMENT ON COLUMN registry.overdue_sessions.reason IS 'Why, in words.';

CREATE VIEW registry.unregistered_peers AS
SELECT b.router, b.name AS router_name, p.router_id, p.peer_address, p.peer_asn, u.person, p.description, p.since
FROM registry.monitored_peers p
JOIN registry.router_bindings b USING (router_id)
JOIN routers r USING (router_id)
LEFT JOIN registry.users u ON u.asn = p.peer_asn
WHERE p.is_up AND p.peer_asn IS DISTINCT FROM r.as_number
  AND NOT EXISTS (SELECT FROM registry.session_peers s
                  WHERE s.router_id = p.router_id AND s.peer_type = p.peer_type AND s.distinguisher = p.distinguisher
                    AND s.peer_address = p.peer_address AND s.peer_asn = p.peer_asn)
  AND NOT EXISTS (SELECT FROM registry.settings s CROSS JOIN regexp_split_to_table(btrim(s.value, E' \t\n,'), '[\s,]+') AS ignored
                  WHERE s.key = 'ignore_peers'
                    AND CASE WHEN ignored = '' THEN false
                             WHEN ignored ~* '^(AS)?[0-9]+$' THEN p.peer_asn = regexp_replace(ignored, '^AS', '', 'i')::BIGINT
                             ELSE p.peer_address <<= ignored::INET END);

COMMENT ON VIEW registry.unregistered_peers IS 'Peers that are up and that no session knows: on routers that the registry has, without iBGP and the setting ignore_peers.';
COMMENT ON COLUMN registry.unregistered_peers.router IS 'The router of the registry.';
COMMENT ON COLUMN registry.unregistered_peers.router_name IS 'Its name.';
COMMENT ON COLUMN registry.unregistered_peers.router_id IS 'The monitored router.';
COMMENT ON COLUMN registry.unregistered_peers.peer_address IS 'The address of the peer.';
COMMENT ON COLUMN registry.unregistered_peers.peer_asn IS 'Its AS.';
COMMENT ON COLUMN registry.unregistered_peers.person IS 'The user with that AS.';
COMMENT ON COLUMN registry.unregistered_peers.description IS 'The name that the router has for it.';
COMMENT ON COLUMN registry.unregistered_peers.since IS 'Since when it is up.';

CREATE VIEW registry.session_causes AS
SELECT p.session_uuid, p.router_id, p.peer_address, e.id AS session_event_id, e.event_time, e.kind, e.reason, e.routes, w.watch_id,
       c.condition, c.since AS condition_since, i.id AS incident_id, i.state AS incident_state
FROM registry.session_peers p
JOIN session_events e ON e.router_id = p.router_id AND e.peer_address = p.peer_address AND e.kind IN ('peer_up', 'peer_down')
LEFT JOIN registry.session_watches w ON w.session_uuid = p.session_uuid AND w.peer_address = p.peer_address
LEFT JOIN watch.conditions c ON c.watch_id = w.watch_id AND c.router_id = p.router_id
LEFT JOIN watch.incidents i ON i.watch_id = w.watch_id AND e.event_time BETWEEN i.cause_at - interval '1 minute' AND COALESCE(i.closed_at, 'infinity')
WHERE p.fit IN ('address', 'asn');

COMMENT ON VIEW registry.session_causes IS 'What happened to the peers of each session, with the watch, the condition now and the incident of that time. route_events of the same router, peer_address and time are the routes that came and went.';
COMMENT ON COLUMN registry.session_causes.session_uuid IS 'The session.';
COMMENT ON COLUMN registry.session_causes.router_id IS 'The monitored router.';
COMMENT ON COLUMN registry.session_causes.peer_address IS 'The peer.';
COMMENT ON COLUMN registry.session_causes.session_event_id IS 'The row of session_events.';
COMMENT ON COLUMN registry.session_causes.event_time IS 'As session_events.event_time.';
COMMENT ON COLUMN registry.session_causes.kind IS 'peer_up or peer_down.';
COMMENT ON COLUMN registry.session_causes.reason IS 'As session_events.reason.';
COMMENT ON COLUMN registry.session_causes.routes IS 'As session_events.routes.';
COMMENT ON COLUMN registry.session_causes.watch_id IS 'The watch of the session, where the setting watches is on.';
COMMENT ON COLUMN registry.session_causes.condition IS 'A condition of the watch that holds now.';
COMMENT ON COLUMN registry.session_causes.condition_since IS 'Since when it holds.';
COMMENT ON COLUMN registry.session_causes.incident_id IS 'The incident of that time.';
COMMENT ON COLUMN registry.session_causes.incident_state IS 'Its state.';

CREATE FUNCTION registry.policy_name(policy TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN lower(btrim(policy)) IN ('0', 'full') THEN 'full' WHEN lower(btrim(policy)) IN ('1', 'peer') THEN 'peer'
                WHEN lower(btrim(policy)) IN ('2', 'upstream') THEN 'upstream' WHEN lower(btrim(policy)) IN ('3', 'downstream') THEN 'downstream' END;
END;

COMMENT ON FUNCTION registry.policy_name(TEXT) IS 'The name of a policy: 0 full, 1 peer, 2 upstream, 3 downstream; NULL for any other text.';

CREATE VIEW registry.policy_misfits AS
WITH bound AS (
    SELECT s.uuid, s.asn, registry.policy_name(s.policy) AS policy, s.data, p.router_id, p.peer_address, p.peer_asn
    FROM registry.bgp_sessions s JOIN registry.session_peers p ON p.session_uuid = s.uuid AND p.fit IN ('address', 'asn')
    WHERE registry.policy_name(s.policy) IN ('peer', 'downstream')
), received AS (
    SELECT b.*, a.prefix, a.as_path, a.origin_asn
    FROM bound b JOIN adj_rib_in a ON a.router_id = b.router_id AND a.peer_address = b.peer_address AND a.peer_asn = b.peer_asn
)
SELECT DISTINCT uuid AS session_uuid, asn, policy, router_id, peer_address, 'origin' AS misfit, prefix, as_path, NULL::BIGINT AS routes, NULL::BIGINT AS agreed
FROM received
WHERE policy = 'downstream' AND (origin_asn IS NULL OR origin_asn <> asn AND NOT COALESCE(data -> 'downstreams' @> to_jsonb(origin_asn), false))
UNION ALL
SELECT DISTINCT uuid, asn, policy, router_id, peer_address, 'default', prefix, as_path, NULL::BIGINT, NULL::BIGINT
FROM received WHERE masklen(prefix) = 0
UNION ALL
SELECT s.uuid, s.asn, registry.policy_name(s.policy), NULL, NULL, 'routes', NULL, NULL, o.routes_received, (s.data ->> 'max_prefix')::BIGINT
FROM registry.bgp_sessions s JOIN registry.session_observations o ON o.session_uuid = s.uuid
WHERE CASE WHEN jsonb_typeof(s.data -> 'max_prefix') = 'number' THEN o.routes_received > (s.data ->> 'max_prefix')::NUMERIC END;

COMMENT ON VIEW registry.policy_misfits IS 'Received routes that do not fit the policy of their session. Nothing is rejected for it. Needs stored Adj-RIBs-In.';
COMMENT ON COLUMN registry.policy_misfits.session_uuid IS 'The session.';
COMMENT ON COLUMN registry.policy_misfits.asn IS 'Its AS.';
COMMENT ON COLUMN registry.policy_misfits.policy IS 'full, peer, upstream, downstream; NULL: another text.';
COMMENT ON COLUMN registry.policy_misfits.router_id IS 'The monitored router; NULL for routes.';
COMMENT ON COLUMN registry.policy_misfits.peer_address IS 'The peer; NULL for routes.';
COMMENT ON COLUMN registry.policy_misfits.misfit IS 'origin: a downstream sends what neither it nor an AS of data.downstreams originates; default: a peer or downstream sends a default route; routes: more of them than data.max_prefix.';
COMMENT ON COLUMN registry.policy_misfits.prefix IS 'The prefix; NULL for routes.';
COMMENT ON COLUMN registry.policy_misfits.as_path IS 'Its AS path.';
COMMENT ON COLUMN registry.policy_misfits.routes IS 'routes: how many were received.';
COMMENT ON COLUMN registry.policy_misfits.agreed IS 'routes: how many were agreed on.';

-- Agents of routers are told by deliveries, each router by a callback of its own: one that does not answer holds up
-- nobody else. They belong to a team that nobody else can be, so that they hear of no incident and go only where
-- RIB_INGESTER_CALLBACK_ALLOW lets those of teams go.
CREATE OR REPLACE FUNCTION watch.check_callback() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    fallback_team TEXT;
    urls TEXT[] := string_to_array(NEW.url, ' ') || NEW.url_end;
    wrong TEXT;
BEGIN
    IF (NEW.name ~ '^[^[:cntrl:]/]{1,128}$' AND NEW.name = btrim(NEW.name)) IS NOT TRUE THEN
        RAISE EXCEPTION 'the name of a callback must have 1 to 128 characters, no slash, no control characters and no space at either end'
            USING ERRCODE = 'check_violation';
    ELSIF NEW.team !~ '^[^[:cntrl:]/:]{1,64}$' THEN
        wrong := 'the team must have 1 to 64 characters, no slash, no colon and no control characters';
    ELSIF (NEW.format IN ('generic', 'alertmanager', 'pagerduty', 'slack', 'teams', 'ntfy', 'flapalerted', 'heartbeat', 'registry_post', 'registry_get')) IS NOT TRUE THEN
        wrong := 'the format must be generic, alertmanager, pagerduty, slack, teams, ntfy, flapalerted, heartbeat, registry_post or registry_get';
    ELSIF NEW.url IS NULL OR EXISTS (SELECT FROM unnest(urls) AS one
                                     WHERE one !~ '^https?://([^][[:space:][:cntrl:]/?#@"<>\\^`{|}]+|\[[0-9A-Fa-f:.]+\](:[0-9]+)?)([/?][!-"$-~]*)?$') THEN
        wrong := 'a URL must be http:// or https:// with a host, in ASCII, without a user and a fragment';
    ELSIF length(NEW.url) > 8192 OR length(NEW.url_end) > 8192 THEN
        wrong := 'a URL must have at most 8192 characters';
    ELSIF position(' ' IN NEW.url) > 0 AND NEW.format <> 'alertmanager' THEN
        wrong := 'only the format alertmanager takes several URLs';
    ELSIF NEW.url_end IS NOT NULL AND NEW.format <> 'flapalerted' THEN
        wrong := 'url_end is of the format flapalerted only';
    ELSIF jsonb_typeof(NEW.headers) IS DISTINCT FROM 'object' THEN
        wrong := 'headers must be an object of strings';
    ELSIF EXISTS (SELECT FROM jsonb_each(NEW.headers) AS header
                  WHERE header.key !~ '^[-A-Za-z0-9!#$%&''*+.^_`|~]{1,128}$' OR jsonb_typeof(header.value) <> 'string'
                     OR header.value #>> '{}' !~ '^[ -~]*$' OR length(header.value #>> '{}') > 4096
                     OR lower(header.key) IN ('host', 'content-length', 'transfer-encoding', 'connection', 'content-type')) THEN
        wrong := 'headers must be an object of strings, with names as HTTP has them, values of printable ASCII and none of Host, Content-Length, Content-Type, Transfer-Encoding and Connection';
    ELSIF (NEW.min_severity IN ('critical', 'error', 'warning', 'info')) IS NOT TRUE THEN
        wrong := 'min_severity must be critical, error, warning or info';
    ELSIF NEW.time_zone IS NOT NULL AND NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = NEW.time_zone) THEN
        wrong := format('the time zone "%s" is unknown; examples: Europe/Berlin, America/New_York', left(NEW.time_zone, 64));
    ELSIF NEW.repeat_secs NOT BETWEEN 60 AND 604800 THEN
        wrong := 'repeat_secs must be 60 to 604800';
    ELSIF (NEW.max_per_minute BETWEEN 1 AND 600) IS NOT TRUE THEN
        wrong := 'max_per_minute must be 1 to 600';
    ELSIF NEW.fallback = NEW.id THEN
        wrong := 'it cannot be its own fallback';
    ELSIF NEW.enabled IS NULL THEN
        wrong := 'enabled must be true or false';
    END IF;
    IF wrong IS NULL AND NEW.fallback IS NOT NULL THEN
        SELECT team INTO fallback_team FROM watch.callbacks WHERE id = NEW.fallback AND format <> 'heartbeat';
        IF NOT FOUND OR fallback_team IS DISTINCT FROM NEW.team THEN
            wrong := 'the fallback must be a callback of the same team, and no heartbeat';
        END IF;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'callback "%": %', NEW.name, wrong USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := now();
    IF TG_OP = 'UPDATE' THEN
        -- A changed callback is tried at once.
        NEW.paused_until := NULL;
        NEW.failures := 0;
    END IF;
    RETURN NEW;
END $$;

COMMENT ON COLUMN watch.callbacks.format IS 'generic, alertmanager, pagerduty, slack, teams, ntfy, flapalerted, heartbeat; registry_post, registry_get: made by the collector for the agents of registry.routers.';
COMMENT ON COLUMN watch.callbacks_public.format IS 'The format of its messages.';
COMMENT ON COLUMN watch.deliveries.subject IS 'What it tells: the event of the incident, or repeated; status: the status of a session of the registry.';
COMMENT ON COLUMN watch.deliveries.ordering_key IS 'The cause_key of the incident; registry/ and the uuid of the session.';
