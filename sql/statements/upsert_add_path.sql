-- Stores evidence about path identifiers, many rows in one statement. The time at which a session was closed for it is
-- never cleared.
INSERT INTO add_path_evidence AS e (router_id, rib, is_post_policy, peer_type, distinguisher, peer_address, peer_asn,
                                    peer_bgp_id, afi, safi, is_sent, is_announced, closed_at)
SELECT n.router_id, n.rib, n.is_post_policy, n.peer_type, n.distinguisher, n.peer_address, n.peer_asn, n.peer_bgp_id,
       n.afi, n.safi, n.is_sent, n.is_announced, CASE WHEN n.is_closed THEN now() END
FROM unnest($1::text[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::inet[], $7::int8[], $8::inet[], $9::int4[],
            $10::int2[], $11::bool[], $12::bool[], $13::bool[])
     AS n (router_id, rib, is_post_policy, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, afi, safi,
           is_sent, is_announced, is_closed)
ON CONFLICT (router_id, rib, is_post_policy, peer_type, distinguisher, peer_address, peer_asn, peer_bgp_id, afi, safi)
DO UPDATE SET is_sent = excluded.is_sent, is_announced = excluded.is_announced,
              closed_at = COALESCE(e.closed_at, excluded.closed_at), updated_at = now()
