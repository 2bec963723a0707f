-- Stores the staged events, except those that are already stored. Only events with the same id at looked_from or later
-- are checked; this bounds the number of partitions searched.
--
-- is_replayed: the stored event that was received at the same time is the same one, any other is another event.
-- is_shared: another collector had the router, and may have stored the event under another id, with its own time of
-- receipt or stamp: it is stored already if the newest event of the key says the same.
-- dumped_from: a dump repeats the newest event of the key, if that one says the same and is not older than dumped_from,
-- which is after the table's last mass removal. A router stamps whole seconds, so the newest event may have another id
-- by its occurrence number alone: it says the same if it announces the same attributes with the same stamp.
--
-- A batch that is sent again keeps its times: then the primary key detects the repetition.
--
-- Each event and each key is searched for as the first row in the order of an index: under key_join_settings.sql no
-- other plan can answer that, whatever the statistics are.
INSERT INTO {events} (event_id, ingest_time, router_id, table_name, afi, prefix, path_id, action, nexthop, as_path,
                          origin, localpref, med, origin_asn, communities_std, communities_ext, communities_large, attrs,
                          bmp_raw, received_at, router_time, peer_address, peer_asn, peer_bgp_id, is_post_policy, rib)
SELECT s.event_id, s.ingest_time, s.router_id, s.table_name, s.afi, s.prefix, s.path_id, s.action, s.nexthop, s.as_path,
       s.origin, s.localpref, s.med, s.origin_asn, s.communities_std, s.communities_ext, s.communities_large, s.attrs,
       s.bmp_raw, s.received_at, s.router_time, s.peer_address, s.peer_asn, s.peer_bgp_id, s.is_post_policy, s.rib
FROM {staged_events} s
LEFT JOIN LATERAL (
    SELECT true AS is_stored
    FROM {events} e
    WHERE e.event_id = s.event_id AND e.ingest_time >= s.looked_from
      AND (s.is_replayed AND e.received_at = s.received_at
           OR e.ingest_time >= s.dumped_from AND (
               SELECT (n.action, n.router_time, n.nexthop, n.as_path, n.origin, n.localpref, n.med, n.communities_std,
                       n.communities_ext, n.communities_large, n.attrs, n.peer_asn, n.peer_bgp_id)
                      IS NOT DISTINCT FROM
                      (s.action, s.router_time, s.nexthop, s.as_path, s.origin, s.localpref, s.med, s.communities_std,
                       s.communities_ext, s.communities_large, s.attrs, s.peer_asn, s.peer_bgp_id)
               FROM {events} n
               WHERE n.router_id = s.router_id AND n.table_name = s.table_name AND n.afi = s.afi
                 AND n.prefix >= s.prefix AND n.prefix <= s.prefix AND n.ingest_time >= e.ingest_time
                 AND COALESCE(n.path_id, 0) = COALESCE(s.path_id, 0) AND n.rib IS NOT DISTINCT FROM s.rib
                 AND n.peer_address IS NOT DISTINCT FROM s.peer_address
                 AND n.is_post_policy IS NOT DISTINCT FROM s.is_post_policy
               ORDER BY n.router_id, n.table_name, n.afi, n.prefix, n.ingest_time DESC
               LIMIT 1))
    ORDER BY e.event_id, e.ingest_time
    LIMIT 1
) AS known ON true
LEFT JOIN LATERAL (
    SELECT n.action = s.action
           AND (n.action = 'D'
                OR (n.nexthop, n.as_path, n.origin, n.localpref, n.med, n.communities_std, n.communities_ext,
                    n.communities_large, n.attrs, n.peer_asn, n.peer_bgp_id)
                   IS NOT DISTINCT FROM
                   (s.nexthop, s.as_path, s.origin, s.localpref, s.med, s.communities_std, s.communities_ext,
                    s.communities_large, s.attrs, s.peer_asn, s.peer_bgp_id)) AS is_stored
    FROM {events} n
    WHERE s.is_shared
      AND n.router_id = s.router_id AND n.table_name = s.table_name AND n.afi = s.afi
      AND n.prefix >= s.prefix AND n.prefix <= s.prefix AND n.ingest_time >= s.looked_from
      AND COALESCE(n.path_id, 0) = COALESCE(s.path_id, 0) AND n.rib IS NOT DISTINCT FROM s.rib
      AND n.peer_address IS NOT DISTINCT FROM s.peer_address
      AND n.is_post_policy IS NOT DISTINCT FROM s.is_post_policy
    ORDER BY n.router_id, n.table_name, n.afi, n.prefix, n.ingest_time DESC
    LIMIT 1
) AS newest ON true
WHERE known.is_stored IS NULL AND newest.is_stored IS NOT TRUE
ON CONFLICT (event_id, ingest_time) DO NOTHING
