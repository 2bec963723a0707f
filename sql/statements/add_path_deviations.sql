-- Routers some of whose messages do not carry path identifiers as the capabilities announce, with some of their peers.
SELECT router_id, is_sent, count(*) AS count,
       array_to_string((array_agg(concat_ws(' ', rib, CASE WHEN rib <> 'loc-rib' THEN
                                                CASE WHEN is_post_policy THEN 'after policy of' ELSE 'before policy of' END END,
                                            NULLIF(distinguisher, ''), CASE WHEN rib <> 'loc-rib' THEN host(peer_address) END,
                                            'AFI', afi, 'SAFI', safi)
                                  ORDER BY rib, peer_address, is_post_policy, afi, safi))[1:3], ', ') AS places
FROM add_path_evidence
WHERE is_sent <> is_announced
GROUP BY router_id, is_sent
ORDER BY router_id, is_sent
LIMIT 1000
