-- Takes the incidents that teams have acknowledged, with the role that did; those that still wait for it.
WITH taken AS (
    UPDATE tenant.incidents t SET acknowledge_asked_by = NULL
    FROM tenant.incidents o
    WHERE o.acknowledge_asked_by IS NOT NULL AND o.state <> 'resolved' AND t.team_id = o.team_id AND t.id = o.id
    RETURNING t.team_id, t.incident_id, o.acknowledge_asked_by AS who
)
SELECT i.id, min(n.who) FROM taken n JOIN watch.incidents i ON i.team = n.team_id AND i.id = n.incident_id WHERE i.state = 'open' GROUP BY i.id
