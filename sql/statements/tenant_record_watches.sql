-- Notes which watch each address of the records of the teams $1 has.
UPDATE tenant.record_addresses a SET watch_id = n.watch_id
FROM (SELECT o.team_id, o.record_id, o.address, w.id AS watch_id
      FROM tenant.record_addresses o
      LEFT JOIN watch.watches w ON w.team = o.team_id AND w.name = 'address ' || host(o.address) AND w.kind = 'address'
      WHERE o.team_id = ANY ($1)) AS n
WHERE a.team_id = n.team_id AND a.record_id = n.record_id AND a.address = n.address AND a.watch_id IS DISTINCT FROM n.watch_id
