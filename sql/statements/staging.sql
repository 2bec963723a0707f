-- The tables that one connection of a writer fills by COPY before each set-based statement.
--
-- Created once per connection; each commit or rollback empties them, so a retry starts clean.
CREATE TEMP TABLE staged_routes (
    router_id TEXT, /*adj peer_address INET, is_post_policy BOOLEAN, */table_name TEXT, afi SMALLINT, prefix CIDR, path_id BIGINT,
    /*adj peer_asn BIGINT, peer_bgp_id TEXT, */nexthop INET, as_path TEXT, origin TEXT, localpref BIGINT, med BIGINT, origin_asn BIGINT,
    communities_std TEXT[], communities_ext TEXT[], communities_large TEXT[], attrs JSONB
) ON COMMIT DELETE ROWS;

CREATE TEMP TABLE staged_keys (
    router_id TEXT, /*adj peer_address INET, is_post_policy BOOLEAN, */table_name TEXT, afi SMALLINT, prefix CIDR, path_id BIGINT
) ON COMMIT DELETE ROWS;

CREATE TEMP TABLE staged_tables (
    number BIGINT, router_id TEXT, /*adj peer_address INET, is_post_policy BOOLEAN, */table_name TEXT, afi SMALLINT
) ON COMMIT DELETE ROWS;
