-- Claims a router. The row lock waits for the write transaction of the previous owner; if that was another collector,
-- its epoch is outdated afterwards. Returns the epoch, the time in microseconds since 1970, and whether the router was
-- already ours; no row if another collector has it and it may not be taken from it ($3).
INSERT INTO router_owner AS o (router_id, collector_id, epoch)
VALUES ($1, $2, 1)
ON CONFLICT (router_id) DO UPDATE SET
    collector_id = EXCLUDED.collector_id,
    epoch = o.epoch + (o.collector_id <> EXCLUDED.collector_id)::int,
    since = CASE WHEN o.collector_id = EXCLUDED.collector_id THEN o.since ELSE now() END,
    handed_to = NULL,
    handed_until = NULL
WHERE o.collector_id = EXCLUDED.collector_id OR $3
RETURNING epoch, (extract(epoch FROM now()) * 1000000)::bigint, since < now()
