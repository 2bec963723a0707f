# Sourced by scripts/run --example tenants: two teams share a collector. The route of the one is withdrawn: its incident
# opens, and the other sees nothing of it.

example_tenants() {
    local secret=${PG_URL#*//rib:}
    secret=${secret%%@*}
    say "making a role for each team, as docs/tenants.md says"
    pg_super "$state/pg" -d rib -c "CREATE ROLE rib_team NOLOGIN" \
        -c "CREATE ROLE t1 LOGIN PASSWORD '$secret' IN ROLE rib_team CONNECTION LIMIT 5" \
        -c "CREATE ROLE t2 LOGIN PASSWORD '$secret' IN ROLE rib_team CONNECTION LIMIT 5"
    say "importing their prefixes, and entering the roles"
    "$binary" import tenants - --table customers <<'CSV'
asn,prefixes,team,mail
AS64496,198.51.100.0/24 2001:db8:1::/48,blue,noc@blue.example
AS64497,203.0.113.0/24,green,noc@green.example
CSV
    sql -c "SELECT tenant.grant_to('rib_team')" >/dev/null
    sql -c "INSERT INTO watch.team_roles (db_role, team) VALUES ('t1', 'blue'), ('t2', 'green')"
    as_team t1 -c "INSERT INTO tenant.own_domains (id, hostname) VALUES ('d1', 'www.blue.example')" \
        -c "INSERT INTO tenant.own_dns_records (domain_id, type, name, content)
            VALUES ('d1', 'A', '@', '198.51.100.10'), ('d1', 'CNAME', 'shop', 'www.blue.example'), ('d1', 'A', 'far', '192.0.2.1')"
    say "a router announces what both have"
    router_connect edge1 192.0.2.1 64500
    router_peer_up edge1 198.51.100.254 64501
    router_announce edge1 198.51.100.254 64501 '64501 64496' 198.51.100.0/24
    router_announce edge1 198.51.100.254 64501 '64501 64497' 203.0.113.0/24
    router_end_of_rib edge1 198.51.100.254 64501
    within "the records to be watched" is_true "SELECT count(*) = 2 FROM tenant.dns_records WHERE state = 'watched'"
    # By default a condition must hold for a minute, at routers that have been known for five.
    sql -c "UPDATE watch.watches SET open_after_secs = 2, settle_secs = 0, close_after_secs = 10"
    within "the routes to be seen" is_true "SELECT count(*) >= 3 FROM watch.seen"
    say "the route of blue is withdrawn"
    router_withdraw edge1 198.51.100.254 64501 198.51.100.0/24
    within "the incident to open" is_true "SELECT count(*) > 0 FROM tenant.incidents WHERE domain_id = 'd1'"
    headed "rib-ingester tenants" "$binary" tenants
    headed "rib-ingester tenants blue" "$binary" tenants blue
    team_query t1 "SELECT state, severity, title FROM tenant.own_incidents"
    team_query t1 "SELECT action, router, as_path, rib FROM tenant.history('198.51.100.0/24')"
    team_query t1 "SELECT * FROM tenant.lookup('203.0.113.10')"
    team_query t2 "SELECT count(*) AS incidents_of_green FROM tenant.own_incidents"
    headed "to look around as the team blue" echo "${PG_BIN:+$PG_BIN/}psql '${PG_URL/rib:/t1:}'"
}

# as_team ROLE ARGUMENTS: psql as a team.
as_team() {
    local role=$1
    shift
    "${PG_BIN:+$PG_BIN/}psql" -X -q -P pager=off "${PG_URL/rib:/$role:}" "$@"
}

# What a team may not ask is refused: the message is part of the example.
team_query() {
    headed "as $1: $2" as_team "$1" -c "$2" 2>&1 || true
}

is_true() {
    [ "$(sql -At -c "$1")" = t ]
}
