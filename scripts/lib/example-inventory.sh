# Sourced by scripts/run --example inventory: a site with a web server and a database behind two peers of one router. The
# prefix of the web server goes, its service is unreachable and an incident opens; the database and its peer stay.

export RIB_INGESTER_STORED_RIBS=adj-rib-in-pre

WEB=198.51.100.0/24
DATABASE=203.0.113.0/24

example_inventory() {
    headed "rib-ingester import inventory scripts/lib/example-inventory.json" \
        "$binary" import inventory scripts/lib/example-inventory.json
    # An example shows at once what is judged after some minutes otherwise.
    sql -c "INSERT INTO inventory.settings VALUES ('watch_settle_secs', '0'), ('watch_open_after_secs', '0')"
    say "edge1 comes up: AS64501 announces $WEB and $DATABASE, AS64502 $DATABASE"
    router_connect edge1 192.0.2.1 64500
    router_peer_up edge1 192.0.2.11 64501
    router_announce edge1 192.0.2.11 64501 '64501 64496' $WEB $DATABASE
    router_end_of_rib edge1 192.0.2.11 64501
    router_peer_up edge1 192.0.2.12 64502
    router_announce edge1 192.0.2.12 64502 '64502 64496' $DATABASE
    router_end_of_rib edge1 192.0.2.12 64502
    within "the services to be reachable" services_are reachable 2
    headed "rib-ingester inventory" "$binary" inventory
    headed "rib-ingester impact 192.0.2.11, before it happens" "$binary" impact 192.0.2.11 || true
    say "AS64501 withdraws $WEB"
    router_withdraw edge1 192.0.2.11 64501 $WEB
    within "the web server to be unreachable" services_are unreachable 1
    within "the incident" incident_is_open
    headed "rib-ingester inventory --bad" "$binary" inventory --bad
    headed "rib-ingester incidents" "$binary" incidents
    query "SELECT service_id, address, router_id, state, watch, condition, incident_id, action, prefix FROM inventory.causes"
    say "the tree is on http://${RIB_INGESTER_HTTP_LISTEN}/inventory"
}

services_are() {
    [ "$(sql -At -c "SELECT count(*) FROM inventory.services_overview WHERE state = '$1'")" = "$2" ]
}

incident_is_open() {
    [ "$(sql -At -c "SELECT count(*) FROM watch.incidents WHERE condition = 'missing' AND state = 'open'")" = 1 ]
}
