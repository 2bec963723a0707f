-- Validated ROA payloads (VRPs) of an RPKI validator, and what they say of the routes (RFC 6811). Everything here can be
-- fetched and computed again.

DO $$
BEGIN
    -- IF NOT EXISTS asks for the right to create one even where an administrator has made it.
    IF to_regnamespace('rpki') IS NULL THEN
        CREATE SCHEMA rpki;
    ELSIF to_regclass('rpki.vrps') IS NOT NULL THEN
        RAISE EXCEPTION 'the schema rpki of this database belongs to a collector whose tables are in another schema: use another database'
            USING ERRCODE = 'duplicate_schema';
    END IF;
END $$;

COMMENT ON SCHEMA rpki IS 'The RPKI data of rib-ingester, and the validity of its routes.';

-- The set -------------------------------------------------------------------------------------------------------

CREATE TABLE rpki.vrp_set (
    is_only              BOOLEAN PRIMARY KEY DEFAULT true CHECK (is_only),
    version              BIGINT  NOT NULL DEFAULT 0,
    source               TEXT,
    generated            TIMESTAMPTZ,
    fetched_at           TIMESTAMPTZ,
    taken_at             TIMESTAMPTZ,
    valid_until          TIMESTAMPTZ,
    max_age_secs         INTEGER NOT NULL DEFAULT 86400,
    vrps                 BIGINT  NOT NULL DEFAULT 0,
    aspas                BIGINT  NOT NULL DEFAULT 0,
    slurm_filtered       BIGINT  NOT NULL DEFAULT 0,
    slurm_added          BIGINT  NOT NULL DEFAULT 0,
    tried_at             TIMESTAMPTZ,
    last_error           TEXT,
    failing_since        TIMESTAMPTZ,
    held_since           TIMESTAMPTZ,
    held_until           TIMESTAMPTZ,
    held_reason          TEXT,
    held_source          TEXT,
    held_vrps            BIGINT,
    accept_asked_at      TIMESTAMPTZ,
    accept_asked_by      TEXT,
    taken_after_hold_at  TIMESTAMPTZ,
    taken_after_hold_why TEXT,
    scanned_version      BIGINT  NOT NULL DEFAULT 0,
    scanned_at           TIMESTAMPTZ
);

INSERT INTO rpki.vrp_set DEFAULT VALUES;

COMMENT ON TABLE rpki.vrp_set IS 'One row: the set of VRPs in force, its age, and a new one that is held because it lacks too much.';
COMMENT ON COLUMN rpki.vrp_set.is_only IS 'Always true.';
COMMENT ON COLUMN rpki.vrp_set.version IS 'Grows with each change of rpki.vrps; 0: no set was ever taken.';
COMMENT ON COLUMN rpki.vrp_set.source IS 'The file or URL that it came from, a URL without its query; NULL: no set was ever taken.';
COMMENT ON COLUMN rpki.vrp_set.generated IS 'When the validator made it, as the set says; else Last-Modified, the time of the file, or when it was first fetched. Never later than that. NULL: no set was ever taken.';
COMMENT ON COLUMN rpki.vrp_set.fetched_at IS 'When it was last fetched, or confirmed to be unchanged; NULL: never.';
COMMENT ON COLUMN rpki.vrp_set.taken_at IS 'When rpki.vrps last changed; NULL: no set was ever taken.';
COMMENT ON COLUMN rpki.vrp_set.valid_until IS 'Until when it is valid, as the set says; NULL: it does not say.';
COMMENT ON COLUMN rpki.vrp_set.max_age_secs IS 'The age in seconds from which it is too old (RIB_INGESTER_VRPS_MAX_AGE_SECS).';
COMMENT ON COLUMN rpki.vrp_set.vrps IS 'The number of VRPs in force, those of SLURM among them.';
COMMENT ON COLUMN rpki.vrp_set.aspas IS 'The number of customers in rpki.aspas.';
COMMENT ON COLUMN rpki.vrp_set.slurm_filtered IS 'The number of VRPs that prefix filters of SLURM removed.';
COMMENT ON COLUMN rpki.vrp_set.slurm_added IS 'The number of VRPs that prefix assertions of SLURM added.';
COMMENT ON COLUMN rpki.vrp_set.tried_at IS 'When a set was last asked for; NULL: never.';
COMMENT ON COLUMN rpki.vrp_set.last_error IS 'Why no source gave a set at the last try; NULL: one did.';
COMMENT ON COLUMN rpki.vrp_set.failing_since IS 'Since when no source gives a set; NULL: one does.';
COMMENT ON COLUMN rpki.vrp_set.held_since IS 'Since when new sets are held, because they lack too much; NULL: none is held.';
COMMENT ON COLUMN rpki.vrp_set.held_until IS 'When the held set is taken, unless a better one comes or `rib-ingester rpki accept` takes it before; NULL: none is held.';
COMMENT ON COLUMN rpki.vrp_set.held_reason IS 'What the held set lacks; NULL: none is held.';
COMMENT ON COLUMN rpki.vrp_set.held_source IS 'Where the held set came from; NULL: none is held.';
COMMENT ON COLUMN rpki.vrp_set.held_vrps IS 'The number of VRPs of the held set; NULL: none is held.';
COMMENT ON COLUMN rpki.vrp_set.accept_asked_at IS 'When somebody accepted the held set, until the collector has taken it; NULL: nobody did.';
COMMENT ON COLUMN rpki.vrp_set.accept_asked_by IS 'Who did; NULL: nobody.';
COMMENT ON COLUMN rpki.vrp_set.taken_after_hold_at IS 'When a held set was taken because its time had passed; NULL: none was, a later set had again what it lacked, a day has passed, or somebody accepted it.';
COMMENT ON COLUMN rpki.vrp_set.taken_after_hold_why IS 'What that set lacked; NULL where taken_after_hold_at is.';
COMMENT ON COLUMN rpki.vrp_set.scanned_version IS 'The version that the last scan of the routes used; 0: none ran.';
COMMENT ON COLUMN rpki.vrp_set.scanned_at IS 'When the last scan of all routers ended; NULL: none did.';

CREATE TABLE rpki.trust_anchors (
    trust_anchor TEXT PRIMARY KEY,
    vrps         BIGINT NOT NULL
);

COMMENT ON TABLE rpki.trust_anchors IS 'What each trust anchor gives to the set in force.';
COMMENT ON COLUMN rpki.trust_anchors.trust_anchor IS 'Its name in the set, in lower case; empty: the set does not say.';
COMMENT ON COLUMN rpki.trust_anchors.vrps IS 'The number of its VRPs, before SLURM.';

CREATE TABLE rpki.vrps (
    prefix       CIDR     NOT NULL,
    max_length   SMALLINT NOT NULL,
    asn          BIGINT   NOT NULL CHECK (asn BETWEEN 0 AND 4294967295),
    trust_anchor TEXT     NOT NULL DEFAULT '',
    is_slurm     BOOLEAN  NOT NULL DEFAULT false,
    expires      TIMESTAMPTZ,
    comment      TEXT,
    PRIMARY KEY (prefix, max_length, asn, trust_anchor, is_slurm),
    CHECK (max_length BETWEEN masklen(prefix) AND CASE family(prefix) WHEN 4 THEN 32 ELSE 128 END)
);

CREATE INDEX idx_vrps_asn ON rpki.vrps (asn);

COMMENT ON TABLE rpki.vrps IS 'The VRPs in force: those of the validator, less what SLURM (RFC 8416) filters, and what it adds. Only the collector writes them.';
COMMENT ON COLUMN rpki.vrps.prefix IS 'The prefix.';
COMMENT ON COLUMN rpki.vrps.max_length IS 'The longest prefix inside it that the AS may originate.';
COMMENT ON COLUMN rpki.vrps.asn IS 'The AS that may originate it; 0: none may (RFC 6483 section 4).';
COMMENT ON COLUMN rpki.vrps.trust_anchor IS 'The trust anchor, see rpki.trust_anchors; empty: the set does not say, or SLURM.';
COMMENT ON COLUMN rpki.vrps.is_slurm IS 'True if a prefix assertion of SLURM added it.';
COMMENT ON COLUMN rpki.vrps.expires IS 'When it expires; NULL: the set does not say. A time that is more than 6 hours away is not rewritten when a later set moves it.';
COMMENT ON COLUMN rpki.vrps.comment IS 'The comment of the assertion of SLURM; NULL where there is none.';

CREATE TABLE rpki.filtered_vrps (
    prefix       CIDR     NOT NULL,
    max_length   SMALLINT NOT NULL,
    asn          BIGINT   NOT NULL,
    trust_anchor TEXT     NOT NULL DEFAULT '',
    comment      TEXT,
    PRIMARY KEY (prefix, max_length, asn, trust_anchor)
);

COMMENT ON TABLE rpki.filtered_vrps IS 'VRPs of the validator that a prefix filter of SLURM removed.';
COMMENT ON COLUMN rpki.filtered_vrps.prefix IS 'The prefix.';
COMMENT ON COLUMN rpki.filtered_vrps.max_length IS 'The longest prefix inside it.';
COMMENT ON COLUMN rpki.filtered_vrps.asn IS 'The AS.';
COMMENT ON COLUMN rpki.filtered_vrps.trust_anchor IS 'The trust anchor; empty: the set does not say.';
COMMENT ON COLUMN rpki.filtered_vrps.comment IS 'The comment of the filter; NULL where there is none.';

CREATE TABLE rpki.aspas (
    customer  BIGINT   PRIMARY KEY,
    providers BIGINT[] NOT NULL,
    expires   TIMESTAMPTZ
);

COMMENT ON TABLE rpki.aspas IS 'Validated ASPA payloads: which ASes each customer AS names as its providers. Shown only: no path is verified by them.';
COMMENT ON COLUMN rpki.aspas.customer IS 'The customer AS.';
COMMENT ON COLUMN rpki.aspas.providers IS 'Its provider ASes, sorted; {0}: it has none.';
COMMENT ON COLUMN rpki.aspas.expires IS 'When it expires; NULL: the set does not say.';

CREATE TABLE rpki.vrp_changes (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    version      BIGINT      NOT NULL,
    is_added     BOOLEAN     NOT NULL,
    prefix       CIDR        NOT NULL,
    max_length   SMALLINT    NOT NULL,
    asn          BIGINT      NOT NULL,
    trust_anchor TEXT        NOT NULL,
    is_slurm     BOOLEAN     NOT NULL
);

CREATE INDEX idx_vrp_changes_at ON rpki.vrp_changes (at);
CREATE INDEX idx_vrp_changes_prefix ON rpki.vrp_changes (prefix);
CREATE INDEX idx_vrp_changes_asn ON rpki.vrp_changes (asn);

COMMENT ON TABLE rpki.vrp_changes IS 'VRPs that came and went in the last 7 days. The first set is not here.';
COMMENT ON COLUMN rpki.vrp_changes.id IS 'Its number.';
COMMENT ON COLUMN rpki.vrp_changes.at IS 'When the set that changed it was taken.';
COMMENT ON COLUMN rpki.vrp_changes.version IS 'The rpki.vrp_set.version of that set.';
COMMENT ON COLUMN rpki.vrp_changes.is_added IS 'True: it came. False: it went.';
COMMENT ON COLUMN rpki.vrp_changes.prefix IS 'The prefix of the VRP.';
COMMENT ON COLUMN rpki.vrp_changes.max_length IS 'Its maxLength.';
COMMENT ON COLUMN rpki.vrp_changes.asn IS 'Its AS.';
COMMENT ON COLUMN rpki.vrp_changes.trust_anchor IS 'Its trust anchor; empty: the set does not say.';
COMMENT ON COLUMN rpki.vrp_changes.is_slurm IS 'True if it was or is an assertion of SLURM.';

-- The routes ----------------------------------------------------------------------------------------------------

CREATE TABLE rpki.route_validity (
    prefix     CIDR        NOT NULL,
    origin_asn BIGINT      NOT NULL,
    state      TEXT        NOT NULL CHECK (state IN ('valid', 'invalid')),
    since      TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (prefix, origin_asn)
);

CREATE INDEX idx_route_validity_invalid ON rpki.route_validity (prefix, origin_asn) WHERE state = 'invalid';

COMMENT ON TABLE rpki.route_validity IS 'Every prefix and origin of current_routes and adj_rib_in that is valid or invalid, as of the last scan; all others are not-found. Means nothing while the set is too old: ask rpki.is_usable(). Between scans rov() answers.';
COMMENT ON COLUMN rpki.route_validity.prefix IS 'The prefix.';
COMMENT ON COLUMN rpki.route_validity.origin_asn IS 'The origin, see rpki.route_origin(); 0: the path ends in an AS_SET.';
COMMENT ON COLUMN rpki.route_validity.state IS 'valid or invalid.';
COMMENT ON COLUMN rpki.route_validity.since IS 'When a scan found this state first.';

CREATE TABLE rpki.lost_validity (
    prefix     CIDR        NOT NULL,
    origin_asn BIGINT      NOT NULL,
    lost_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (prefix, origin_asn)
);

CREATE INDEX idx_lost_validity_lost_at ON rpki.lost_validity (lost_at);

COMMENT ON TABLE rpki.lost_validity IS 'Routes that were valid within the last 7 days and are not-found now, because no VRP covers them any more.';
COMMENT ON COLUMN rpki.lost_validity.prefix IS 'The prefix.';
COMMENT ON COLUMN rpki.lost_validity.origin_asn IS 'The origin.';
COMMENT ON COLUMN rpki.lost_validity.lost_at IS 'When a scan found it not-found first.';

CREATE TABLE rpki.router_states (
    router_id  TEXT        NOT NULL,
    state      TEXT        NOT NULL CHECK (state IN ('valid', 'invalid', 'not-found')),
    routes     BIGINT      NOT NULL,
    scanned_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (router_id, state)
);

COMMENT ON TABLE rpki.router_states IS 'How many distinct pairs of prefix and origin of each router are valid, invalid and not-found, as of its last scan.';
COMMENT ON COLUMN rpki.router_states.router_id IS 'The router.';
COMMENT ON COLUMN rpki.router_states.state IS 'valid, invalid, not-found.';
COMMENT ON COLUMN rpki.router_states.routes IS 'The number of pairs.';
COMMENT ON COLUMN rpki.router_states.scanned_at IS 'When they were counted.';

CREATE FUNCTION rpki.is_usable() RETURNS BOOLEAN LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM rpki.vrp_set s
                   WHERE s.version > 0 AND s.generated + s.max_age_secs * INTERVAL '1 s' > now()
                     AND (s.valid_until > now()) IS NOT FALSE);
END;

COMMENT ON FUNCTION rpki.is_usable IS 'Returns whether there is a set of VRPs that is not too old. Without one every state is unknown.';

CREATE FUNCTION rpki.route_origin(origin_asn BIGINT, as_path TEXT, router_asn BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN origin_asn IS NOT NULL THEN origin_asn
    WHEN as_path = '' OR right(as_path, 1) IN (')', ']') THEN router_asn
    WHEN right(as_path, 1) = '}' THEN 0
END;

COMMENT ON FUNCTION rpki.route_origin IS 'Returns the origin of a route (RFC 6811 section 2) from its columns and routers.as_number: the last AS of a path that ends in an AS_SEQUENCE; the router''s own AS where the path is empty or ends in a confederation; 0, which no VRP matches, where it ends in an AS_SET. NULL where it cannot be known.';

CREATE FUNCTION rov(prefix INET, origin BIGINT) RETURNS TEXT LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    is_usable BOOLEAN;
    is_covered BOOLEAN;
    is_matched BOOLEAN;
BEGIN
    SELECT s.version > 0 AND s.generated + s.max_age_secs * INTERVAL '1 s' > now() AND (s.valid_until > now()) IS NOT FALSE
    INTO is_usable FROM rpki.vrp_set s;
    IF is_usable IS NOT TRUE OR rov.prefix IS NULL THEN
        RETURN 'unknown';
    END IF;
    SELECT true, COALESCE(bool_or(v.asn = rov.origin AND v.asn > 0 AND v.max_length >= masklen(rov.prefix)), false)
    INTO is_covered, is_matched
    FROM rpki.vrps v
    WHERE v.prefix = ANY (ARRAY(SELECT network(set_masklen(rov.prefix, bits)) FROM generate_series(0, masklen(rov.prefix)) AS bits))
    HAVING count(*) > 0;
    RETURN CASE
        WHEN is_covered IS NULL THEN 'not-found'
        WHEN is_matched THEN 'valid'
        WHEN rov.origin IS NULL THEN 'unknown'
        ELSE 'invalid'
    END;
END $$;

COMMENT ON FUNCTION rov(INET, BIGINT) IS 'Validates a prefix and its origin AS (RFC 6811 section 2) by rpki.vrps: valid, invalid or not-found; unknown where there is no set, where it is too old, and where a VRP covers the prefix but the origin is NULL. Take the origin from rpki.route_origin(): origin_asn is NULL for routes with an empty path.';

CREATE FUNCTION rov_reason(prefix INET, origin BIGINT)
RETURNS TABLE (state TEXT, vrp_prefix CIDR, max_length SMALLINT, asn BIGINT, trust_anchor TEXT, expires TIMESTAMPTZ, reason TEXT, comment TEXT)
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
#variable_conflict use_column
DECLARE
    verdict CONSTANT TEXT := rov(rov_reason.prefix, rov_reason.origin);
    covering CONSTANT CIDR[] := ARRAY(SELECT network(set_masklen(rov_reason.prefix, bits)) FROM generate_series(0, masklen(rov_reason.prefix)) AS bits);
BEGIN
    IF verdict IN ('valid', 'invalid') OR verdict = 'unknown' AND rov_reason.origin IS NULL AND rpki.is_usable() THEN
        RETURN QUERY
            SELECT verdict, v.prefix, v.max_length, v.asn, v.trust_anchor, v.expires,
                   CASE WHEN v.asn = rov_reason.origin AND v.asn > 0
                        THEN CASE WHEN v.max_length >= masklen(rov_reason.prefix) THEN 'match' ELSE 'length' END
                        ELSE CASE WHEN v.max_length >= masklen(rov_reason.prefix) THEN 'as' ELSE 'as and length' END
                   END, v.comment
            FROM rpki.vrps v
            WHERE v.prefix = ANY (covering)
              AND (verdict <> 'valid' OR v.asn = rov_reason.origin AND v.max_length >= masklen(rov_reason.prefix))
            ORDER BY masklen(v.prefix) DESC, v.asn, v.max_length, v.trust_anchor, v.is_slurm;
    END IF;
    IF verdict <> 'unknown' THEN
        RETURN QUERY
            SELECT verdict, f.prefix, f.max_length, f.asn, f.trust_anchor, NULL::TIMESTAMPTZ, 'filtered', f.comment
            FROM rpki.filtered_vrps f
            WHERE f.prefix = ANY (covering) AND verdict <> 'valid'
            ORDER BY masklen(f.prefix) DESC, f.asn, f.max_length, f.trust_anchor;
    END IF;
    IF NOT EXISTS (SELECT FROM rpki.vrps v WHERE v.prefix = ANY (covering)) AND NOT EXISTS (SELECT FROM rpki.filtered_vrps f WHERE f.prefix = ANY (covering))
            OR verdict = 'unknown' AND NOT rpki.is_usable() THEN
        RETURN QUERY SELECT verdict, NULL::CIDR, NULL::SMALLINT, NULL::BIGINT, NULL::TEXT, NULL::TIMESTAMPTZ, NULL::TEXT, NULL::TEXT;
    END IF;
END $$;

COMMENT ON FUNCTION rov_reason(INET, BIGINT) IS 'Returns the state of a prefix and its origin, as rov() does, with the VRPs that decided, a row each. reason: match; as: another AS; length: longer than maxLength; as and length; filtered: SLURM removed it. comment is that of SLURM. A single row without a VRP where none covers the prefix.';

CREATE VIEW invalid_routes AS
SELECT found.router_id, found.table_name, found.afi, found.prefix, found.origin_asn,
       -- Routers name the tables of their RIBs differently.
       CASE WHEN bool_or(bool_or(found.is_accepted)) OVER (PARTITION BY found.router_id, found.prefix, found.origin_asn)
            THEN 'accepted' ELSE 'filtered' END AS fate,
       min(found.as_path) AS as_path, min(found.peer_address) AS peer_address, count(*) AS routes,
       min(found.since) AS since
FROM (
    SELECT r.router_id, r.table_name, r.afi, r.prefix, v.origin_asn, true AS is_accepted, r.as_path, NULL::INET AS peer_address, v.since
    FROM rpki.route_validity v
    JOIN current_routes r ON r.prefix = v.prefix
    LEFT JOIN routers o ON o.router_id = r.router_id
    WHERE v.state = 'invalid' AND rpki.route_origin(r.origin_asn, r.as_path, o.as_number) = v.origin_asn
    UNION ALL
    SELECT r.router_id, r.table_name, r.afi, r.prefix, v.origin_asn, r.is_post_policy, r.as_path, r.peer_address, v.since
    FROM rpki.route_validity v
    JOIN adj_rib_in r ON r.prefix = v.prefix
    LEFT JOIN routers o ON o.router_id = r.router_id
    WHERE v.state = 'invalid' AND rpki.route_origin(r.origin_asn, r.as_path, o.as_number) = v.origin_asn
) AS found
WHERE (SELECT rpki.is_usable())
GROUP BY found.router_id, found.table_name, found.afi, found.prefix, found.origin_asn;

COMMENT ON VIEW invalid_routes IS 'Stored routes that are invalid by the last scan (rpki.route_validity). Empty while there is no set or it is too old.';
COMMENT ON COLUMN invalid_routes.router_id IS 'The router.';
COMMENT ON COLUMN invalid_routes.table_name IS 'Its table.';
COMMENT ON COLUMN invalid_routes.afi IS 'Address family: 4 for IPv4, 6 for IPv6.';
COMMENT ON COLUMN invalid_routes.prefix IS 'The prefix.';
COMMENT ON COLUMN invalid_routes.origin_asn IS 'The origin, see rpki.route_origin().';
COMMENT ON COLUMN invalid_routes.fate IS 'accepted: the router has it in a Loc-RIB or after policy. filtered: before policy only.';
COMMENT ON COLUMN invalid_routes.as_path IS 'The AS path of one of its routes.';
COMMENT ON COLUMN invalid_routes.peer_address IS 'The address of a peer that it came from; NULL where no Adj-RIB-In is stored.';
COMMENT ON COLUMN invalid_routes.routes IS 'The number of stored routes, all peers, paths and views counted.';
COMMENT ON COLUMN invalid_routes.since IS 'When a scan found it invalid first.';
