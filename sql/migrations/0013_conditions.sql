-- Conditions of paths, mitigation, and watches of ASes.

CREATE OR REPLACE FUNCTION watch.check_watch() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    known CONSTANT TEXT[] := CASE NEW.kind
        WHEN 'prefix' THEN '{missing,origin,more_specific,more_specific_own,upstream,downstream,path,mitigated,rpki_invalid,rpki_uncovered,roa_expiring,roa_changed,flapping}'
        WHEN 'address' THEN '{missing,default_only,origin}'
        WHEN 'origin' THEN '{origin,upstream,downstream,mitigated,rpki_invalid,rpki_uncovered,roa_expiring,roa_changed,new_origin_prefix}'
        WHEN 'session' THEN '{session_down,flapping}'
        WHEN 'peer_routes' THEN '{route_count}'
        WHEN 'router' THEN '{bmp_down}'
    END;
    address_length CONSTANT INTEGER := CASE family(COALESCE(NEW.prefix::INET, NEW.address)) WHEN 4 THEN 32 ELSE 128 END;
    wrong TEXT;
    one TEXT;
BEGIN
    IF known IS NULL THEN
        wrong := format('kind "%s" is unknown; allowed: prefix, address, origin, session, peer_routes, router', NEW.kind);
    ELSIF NEW.name !~ '^[^[:cntrl:]/]{1,128}$' OR NEW.name <> btrim(NEW.name) THEN
        wrong := 'the name must have 1 to 128 characters, no slash, no control characters and no space at either end';
    ELSIF NEW.team !~ '^[^[:cntrl:]/:]{1,64}$' THEN
        wrong := 'the team must have 1 to 64 characters, no slash, no colon and no control characters';
    ELSIF NEW.kind = 'prefix' AND NEW.prefix IS NULL THEN
        wrong := 'a watch of kind prefix needs a prefix';
    ELSIF NEW.kind <> 'prefix' AND NEW.prefix IS NOT NULL THEN
        wrong := format('a watch of kind %s has no prefix', NEW.kind);
    ELSIF NEW.kind = 'address' AND NEW.address IS NULL THEN
        wrong := 'a watch of kind address needs an address';
    ELSIF NEW.kind <> 'address' AND NEW.address IS NOT NULL THEN
        wrong := format('a watch of kind %s has no address', NEW.kind);
    ELSIF NEW.address IS NOT NULL AND masklen(NEW.address) <> address_length THEN
        wrong := format('the address %s has a prefix length; watch it as a prefix', NEW.address);
    ELSIF NEW.kind = 'origin' AND NEW.asn IS NULL THEN
        wrong := 'a watch of kind origin needs an asn';
    ELSIF NEW.kind IN ('session', 'peer_routes') AND (NEW.asn IS NULL) = (NEW.peer_address IS NULL) THEN
        wrong := format('a watch of kind %s needs a peer_address or an asn, and not both', NEW.kind);
    ELSIF NEW.kind NOT IN ('session', 'peer_routes') AND NEW.peer_address IS NOT NULL THEN
        wrong := format('a watch of kind %s has no peer_address', NEW.kind);
    ELSIF NEW.kind NOT IN ('session', 'peer_routes', 'origin') AND NEW.asn IS NOT NULL THEN
        wrong := format('a watch of kind %s has no asn', NEW.kind);
    ELSIF NEW.kind = 'router' AND NEW.router_id IS NULL THEN
        wrong := 'a watch of kind router needs a router_id';
    ELSIF NEW.table_name IS NOT NULL AND NEW.kind NOT IN ('prefix', 'address', 'origin') THEN
        wrong := format('a watch of kind %s has no table_name', NEW.kind);
    ELSIF NEW.kind <> 'peer_routes' AND num_nonnulls(NEW.min_routes, NEW.max_routes, NEW.drop_percent, NEW.rise_percent) > 0 THEN
        wrong := 'min_routes, max_routes, drop_percent and rise_percent are of the kind peer_routes only';
    ELSIF NEW.min_routes < 0 OR NEW.max_routes < NEW.min_routes THEN
        wrong := 'min_routes must be 0 or more and at most max_routes';
    ELSIF NEW.drop_percent NOT BETWEEN 1 AND 100 OR NEW.rise_percent NOT BETWEEN 1 AND 10000 THEN
        wrong := 'drop_percent must be 1 to 100, rise_percent 1 to 10000';
    ELSIF NEW.min_up IS NOT NULL AND (NEW.kind <> 'session' OR NEW.asn IS NULL OR NEW.min_up < 1) THEN
        wrong := 'min_up is 1 or more, and only for a watch of kind session that has an asn';
    ELSIF NEW.max_length IS NOT NULL AND (NEW.kind <> 'prefix' OR NEW.max_length < masklen(NEW.prefix)
            OR NEW.max_length > address_length) THEN
        wrong := 'max_length is for a watch of kind prefix only, from the length of the prefix to that of an address';
    ELSIF NEW.kind NOT IN ('prefix', 'address', 'origin')
            AND num_nonnulls(NEW.expected_origins, NEW.expected_upstreams, NEW.expected_downstreams, NEW.expected_via, NEW.path_match) > 0 THEN
        wrong := format('a watch of kind %s has no expected ASes and no path_match', NEW.kind);
    ELSIF NEW.kind = 'address' AND num_nonnulls(NEW.expected_upstreams, NEW.expected_downstreams, NEW.path_match) > 0 THEN
        wrong := 'a watch of kind address judges missing, default_only and origin only';
    ELSIF NEW.path_match IS NOT NULL AND NEW.kind <> 'prefix' THEN
        wrong := format('a watch of kind %s has no path_match', NEW.kind);
    ELSIF ltrim(NEW.path_match, '!') = '' OR octet_length(NEW.path_match) > 1000 THEN
        wrong := 'path_match must be a regular expression of 1 to 1000 octets';
    ELSIF NEW.path_match ~ '\(\?<?[=!]' THEN
        wrong := 'path_match has a look-around, which is not supported; where the path must not match, put ! before the whole expression';
    ELSIF NEW.kind = 'prefix' AND cardinality(NEW.expected_downstreams) > 0 AND COALESCE(cardinality(NEW.expected_origins), 0) = 0 THEN
        wrong := 'expected_downstreams of a prefix are those of its expected_origins, which it has none of';
    ELSIF NEW.router_id = '' OR NEW.table_name = '' THEN
        wrong := 'router_id and table_name must not be empty: leave them out for all';
    ELSIF EXISTS (SELECT FROM unnest(NEW.expected_origins || NEW.expected_upstreams || NEW.expected_downstreams || NEW.expected_via
                                     || COALESCE(NEW.asn, 1)) AS given WHERE (given BETWEEN 1 AND 4294967295) IS NOT TRUE) THEN
        wrong := 'an AS number must be 1 to 4294967295';
    ELSIF NEW.min_vantages < 1 THEN
        wrong := 'min_vantages must be 1 or more';
    ELSIF LEAST(NEW.open_after_secs, NEW.close_after_secs, NEW.settle_secs) < 0
            OR GREATEST(NEW.open_after_secs, NEW.close_after_secs, NEW.settle_secs) > 604800 THEN
        wrong := 'open_after_secs, close_after_secs and settle_secs must be 0 to 604800';
    ELSIF NEW.flap_changes < 2 OR NEW.flap_secs NOT BETWEEN 60 AND 86400 THEN
        wrong := 'flap_changes must be 2 or more, flap_secs 60 to 86400';
    ELSIF NEW.severity NOT IN ('critical', 'error', 'warning', 'info') THEN
        wrong := format('severity "%s" is unknown; allowed: critical, error, warning, info', NEW.severity);
    ELSIF NEW.runbook_url !~ '^https?://[^[:cntrl:][:space:]]+$' THEN
        wrong := 'runbook_url must begin with http:// or https://';
    ELSE
        FOREACH one IN ARRAY COALESCE(NEW.conditions, '{}') LOOP
            IF one IS NULL OR NOT one = ANY (known) THEN
                wrong := format('a watch of kind %s does not judge the condition "%s"; allowed: %s', NEW.kind, one, array_to_string(known, ', '));
            END IF;
        END LOOP;
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'watch "%": %', NEW.name, wrong USING ERRCODE = 'check_violation';
    END IF;
    NEW.updated_at := now();
    RETURN NEW;
END $$;

CREATE INDEX idx_accepted_prefixes_prefix ON watch.accepted_prefixes (prefix);

-- Writers look for the prefixes that watches of ASes have found something at, so that their going is seen. Where the
-- prefix was accepted they look for it anyway.
CREATE FUNCTION watch.count_trie_version_of_conditions() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added c JOIN watch.watches w ON w.id = c.watch_id
               WHERE w.kind = 'origin' AND c.prefix IS NOT NULL
                 AND NOT EXISTS (SELECT FROM watch.accepted_prefixes a WHERE a.watch_id = c.watch_id AND a.prefix = c.prefix)) THEN
        UPDATE watch.trie_version SET version = version + 1;
    END IF;
    RETURN NULL;
END $$;

COMMENT ON FUNCTION watch.count_trie_version_of_conditions() IS 'Internal: says that state writers have to look for the prefix of a condition.';

DROP TRIGGER count_trie_version ON watch.conditions;
CREATE TRIGGER count_trie_version AFTER INSERT ON watch.conditions REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION watch.count_trie_version_of_conditions();

COMMENT ON COLUMN watch.watches.path_match IS 'prefix: a regular expression for the AS path as numbers with spaces, confederation segments left out; with ! before it, the path must not match.';
COMMENT ON COLUMN watch.watches.expected_downstreams IS 'ASes that may come directly behind the asn, or behind one of the expected_origins of a prefix; NULL or empty: not judged.';
COMMENT ON COLUMN watch.watches.expected_via IS 'ASes of a mitigation service: a route with an expected origin is mitigated if one of them is in its path.';
COMMENT ON COLUMN watch.conditions.subject IS 'What it is about where one watch can have several: a prefix and its origin, a prefix, or a peer; else empty.';
