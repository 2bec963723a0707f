-- What routers have shown of path identifiers (RFC 7911). Some NLRI can be read with and without: what is remembered here
-- decides them in a router's next session, until that has shown something itself.

CREATE TABLE add_path_evidence (
    router_id      TEXT        NOT NULL,
    rib            TEXT        NOT NULL CHECK (rib IN ('loc-rib', 'adj-rib-in', 'adj-rib-out')),
    is_post_policy BOOLEAN     NOT NULL,
    peer_type      TEXT        NOT NULL,
    distinguisher  TEXT        NOT NULL,
    peer_address   INET        NOT NULL,
    peer_asn       BIGINT      NOT NULL,
    peer_bgp_id    INET        NOT NULL,
    afi            INTEGER     NOT NULL,
    safi           SMALLINT    NOT NULL,
    is_sent        BOOLEAN     NOT NULL,
    is_announced   BOOLEAN     NOT NULL,
    closed_at      TIMESTAMPTZ,
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (router_id, rib, is_post_policy, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, afi, safi)
);

COMMENT ON TABLE add_path_evidence IS 'Where the messages of a peer and RIB did not carry path identifiers as its capabilities announced, or did not once: the newest that was seen.';
COMMENT ON COLUMN add_path_evidence.router_id IS 'The router, see routers.';
COMMENT ON COLUMN add_path_evidence.rib IS 'loc-rib, adj-rib-in or adj-rib-out.';
COMMENT ON COLUMN add_path_evidence.is_post_policy IS 'Whether it is the Adj-RIB after policy; false for a Loc-RIB.';
COMMENT ON COLUMN add_path_evidence.peer_type IS 'global, rd, local or loc_rib (RFC 7854 section 4.2, RFC 9069 section 4.1), else the type''s number.';
COMMENT ON COLUMN add_path_evidence.distinguisher IS 'Peer distinguisher as type:administrator:number; empty where there is none.';
COMMENT ON COLUMN add_path_evidence.peer_address IS 'The peer''s address; 0.0.0.0 for a Loc-RIB.';
COMMENT ON COLUMN add_path_evidence.peer_asn IS 'The peer''s AS; 0 for a Loc-RIB.';
COMMENT ON COLUMN add_path_evidence.peer_bgp_id IS 'The BGP identifier where it tells peers or instances apart, else 0.0.0.0.';
COMMENT ON COLUMN add_path_evidence.afi IS 'Address family, as IANA numbers it.';
COMMENT ON COLUMN add_path_evidence.safi IS 'Subsequent address family, as IANA numbers it.';
COMMENT ON COLUMN add_path_evidence.is_sent IS 'Whether the newest message that could be read one way only carried path identifiers.';
COMMENT ON COLUMN add_path_evidence.is_announced IS 'Whether the capabilities said that messages would carry them.';
COMMENT ON COLUMN add_path_evidence.closed_at IS 'When a session was closed to have its routes read anew, more having been read the wrong way than are kept; this happens once. NULL: never.';
COMMENT ON COLUMN add_path_evidence.updated_at IS 'When this was written last.';

COMMENT ON COLUMN route_events.attrs IS 'All other path attributes; {"reason": "stale"} for a route that a new dump did not name, {"reason": "reread"} for one that never was: its NLRI had been read with path identifiers, or without, by mistake.';

-- What comes and goes. A flap is a withdrawal and the route's return; a change is an announcement with other attributes.
-- Removals of whole tables, routes that a new dump did not name and those that were read by mistake are no flaps: not the
-- route is at fault.
CREATE OR REPLACE FUNCTION flap_report(span INTERVAL DEFAULT '1 hour')
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
