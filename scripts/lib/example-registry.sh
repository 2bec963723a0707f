# Sourced by scripts/run: a peering registry of two routers, one of whose sessions turns red.

example_registry() {
    headed "rib-ingester import registry scripts/lib/example-registry.json" \
        "$binary" import registry scripts/lib/example-registry.json
    router_connect edge1 192.0.2.1 64496
    router_connect edge2 192.0.2.2 64496
    example_peer edge1 fe80::65:5536 65536
    example_peer edge1 198.51.100.37 65537
    example_peer edge1 2001:db8:37::1 65537
    example_peer edge1 198.51.100.40 65540
    router_announce edge1 198.51.100.37 65537 65537 203.0.113.0/25
    router_announce edge1 198.51.100.40 65540 '65540 65551' 203.0.113.128/25
    example_peer edge2 198.51.100.39 65539
    example_peer edge2 198.51.100.41 65541
    within "the sessions to be up" sql_says "SELECT count(*) FILTER (WHERE verdict = 'up') = 3 FROM registry.session_observations"
    headed "the same import again: nothing changes, and it says which numbers are right" \
        "$binary" import registry scripts/lib/example-registry.json
    query "INSERT INTO registry.settings VALUES ('status_codes', 'documented'), ('write_status', 'on'), ('down_after_secs', '5')"
    headed "rib-ingester sessions" "$binary" sessions
    say "AS65537 shuts its sessions down"
    router_peer_down edge1 198.51.100.37 65537 6 2 'maintenance until 06:00 UTC'
    router_peer_down edge1 2001:db8:37::1 65537 6 2 'maintenance until 06:00 UTC'
    within "its session to turn red" sql_says "SELECT status = 2 FROM registry.bgp_sessions WHERE asn = 65537"
    headed "rib-ingester sessions --bad" "$binary" sessions --bad
    query "SELECT router_name, peer_address, peer_asn, since FROM registry.unregistered_peers"
    query "SELECT asn, policy, misfit, prefix, as_path FROM registry.policy_misfits"
    query "SELECT event_time, kind, peer_address, reason FROM registry.session_causes
WHERE session_uuid = 'b2e1d6cf-0000-4000-8000-000000000002' ORDER BY event_time"
    say "the same as a page: http://$RIB_INGESTER_HTTP_LISTEN/sessions"
}

# example_peer ROUTER ADDRESS ASN: up, with an empty dump.
example_peer() {
    router_peer_up "$@"
    router_end_of_rib "$@"
}

sql_says() {
    [ "$(sql -At -c "$1")" = t ]
}
