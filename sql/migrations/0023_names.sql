-- Names of ASes and meanings of communities, for people. All of it may be empty. And what routers themselves say of the
-- routes of a peer, beside the counts of ours.

DO $$
BEGIN
    -- IF NOT EXISTS asks for the right to create one even where an administrator has made it.
    IF to_regnamespace('names') IS NULL THEN
        CREATE SCHEMA names;
    ELSIF to_regclass('names.as_names') IS NOT NULL THEN
        RAISE EXCEPTION 'the schema names of this database belongs to a collector whose tables are in another schema: use another database'
            USING ERRCODE = 'duplicate_schema';
    END IF;
END $$;

COMMENT ON SCHEMA names IS 'Names of ASes, meanings of communities.';

CREATE TABLE names.as_names (
    asn     BIGINT PRIMARY KEY CHECK (asn BETWEEN 0 AND 4294967295),
    name    VARCHAR(200) NOT NULL CHECK (name <> ''),
    country VARCHAR(40),
    source  VARCHAR(200)
);

COMMENT ON TABLE names.as_names IS 'Names of ASes, for people. Filled by `rib-ingester import names` or SQL; the collector looks nothing up.';
COMMENT ON COLUMN names.as_names.asn IS 'The AS number.';
COMMENT ON COLUMN names.as_names.name IS 'Its name.';
COMMENT ON COLUMN names.as_names.country IS 'Its country, as the source writes it.';
COMMENT ON COLUMN names.as_names.source IS 'Where the name comes from.';

-- Candidates are found by what stands before the first sign of a pattern: a lookup in the index for each beginning of the
-- community, however many patterns there are.
CREATE TABLE names.communities (
    pattern    VARCHAR(64) PRIMARY KEY CHECK (pattern <> '' AND pattern ~ '^[0-9A-Za-z.-]*[*]?(:[0-9A-Za-z.-]*[*]?)*$'),
    text       VARCHAR(200) NOT NULL CHECK (text <> ''),
    source     VARCHAR(200),
    head       TEXT GENERATED ALWAYS AS (substring(pattern FROM '^[^x*]*')) STORED,
    expression TEXT GENERATED ALWAYS AS ('^' || replace(replace(replace(pattern, '.', '[.]'), 'x', '[0-9a-f]'), '*', '[^:]*') || '$') STORED
);

CREATE INDEX idx_communities_head ON names.communities (head);

COMMENT ON TABLE names.communities IS 'Meanings of communities, for people. Filled by `rib-ingester import names` or SQL. Of several patterns that match, the one with the fewest * is used, then with the fewest x; a pattern without either overrides names.well_known.';
COMMENT ON COLUMN names.communities.pattern IS 'A community as current_routes has it: 64496:1, 64496:1:2, RT:64496:1, or 16 hexadecimal digits. x stands for one digit, * at the end of a part for the rest of the part, also for none.';
COMMENT ON COLUMN names.communities.text IS 'Its meaning.';
COMMENT ON COLUMN names.communities.source IS 'Where the meaning comes from.';
COMMENT ON COLUMN names.communities.head IS 'The pattern up to its first x or *.';
COMMENT ON COLUMN names.communities.expression IS 'The pattern as a regular expression.';

CREATE VIEW names.well_known AS
SELECT pattern, text, source
FROM (VALUES
    ('65535:0', 'GRACEFUL_SHUTDOWN', 'RFC 8326'),
    ('65535:1', 'ACCEPT_OWN', 'RFC 7611'),
    ('65535:2', 'ROUTE_FILTER_TRANSLATED_v4', 'draft-l3vpn-legacy-rtc'),
    ('65535:3', 'ROUTE_FILTER_v4', 'draft-l3vpn-legacy-rtc'),
    ('65535:4', 'ROUTE_FILTER_TRANSLATED_v6', 'draft-l3vpn-legacy-rtc'),
    ('65535:5', 'ROUTE_FILTER_v6', 'draft-l3vpn-legacy-rtc'),
    ('65535:6', 'LLGR_STALE', 'RFC 9494'),
    ('65535:7', 'NO_LLGR', 'RFC 9494'),
    ('65535:8', 'accept-own-nexthop', 'draft-agrewal-idr-accept-own-nexthop'),
    ('65535:9', 'Standby PE', 'RFC 9026'),
    ('65535:666', 'BLACKHOLE', 'RFC 7999'),
    ('65535:65281', 'NO_EXPORT', 'RFC 1997'),
    ('65535:65282', 'NO_ADVERTISE', 'RFC 1997'),
    ('65535:65283', 'NO_EXPORT_SUBCONFED', 'RFC 1997'),
    ('65535:65284', 'NOPEER', 'RFC 3765')
) AS registry (pattern, text, source);

COMMENT ON VIEW names.well_known IS 'The well-known communities of IANA''s registry.';
COMMENT ON COLUMN names.well_known.pattern IS 'The community, as current_routes has it.';
COMMENT ON COLUMN names.well_known.text IS 'Its name in the registry.';
COMMENT ON COLUMN names.well_known.source IS 'The document that registers it.';

-- A body of SQL that is parsed here and now means the same whatever the caller's search_path says.
CREATE FUNCTION names.community_text(community TEXT) RETURNS TEXT LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT found.text
    FROM (SELECT c.pattern, c.text, 0 AS rank
          FROM names.communities c
          WHERE c.head = ANY (ARRAY(SELECT left(community, n) FROM generate_series(0, LEAST(length(community), 64)) n))
            AND community ~ c.expression
          UNION ALL
          SELECT w.pattern, w.text, 1 FROM names.well_known w WHERE w.pattern = community) AS found
    ORDER BY length(found.pattern) - length(replace(found.pattern, '*', '')),
             length(found.pattern) - length(replace(found.pattern, 'x', '')), found.rank, length(found.pattern) DESC, found.pattern
    LIMIT 1;
END;

COMMENT ON FUNCTION names.community_text(TEXT) IS 'The meaning of a community, by names.communities and names.well_known; NULL: nobody has given one.';

CREATE FUNCTION names.as_path_text(as_path TEXT) RETURNS TEXT LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(COALESCE(a.name, hop.word), ' > ' ORDER BY hop.place)
    FROM regexp_split_to_table(as_path, ' +') WITH ORDINALITY AS hop (word, place)
    LEFT JOIN names.as_names a ON a.asn = CASE WHEN hop.word ~ '^[0-9]{1,10}$' THEN hop.word::BIGINT END;
END;

COMMENT ON FUNCTION names.as_path_text(TEXT) IS 'An AS path with the names of its ASes, as far as names.as_names has them.';

ALTER TABLE peer_route_counts ADD COLUMN accepted BIGINT, ADD COLUMN rejected BIGINT;

COMMENT ON COLUMN peer_route_counts.accepted IS 'Routes that the router says its policy accepted: its statistic 23, else 21 (RFC 9972), of this family; NULL where it reports neither, or has several peers with this address.';
COMMENT ON COLUMN peer_route_counts.rejected IS 'Routes that the router says its policy rejected: its statistic 22 (RFC 9972), of this family; NULL where it does not report it, or has several peers with this address.';
