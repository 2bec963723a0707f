-- Takes a router. The row lock waits for the write transaction of whoever had it; after this their epoch is an old one.
INSERT INTO router_owner (router_id, collector_id, epoch)
VALUES ($1, $2, 1)
ON CONFLICT (router_id) DO UPDATE SET
    collector_id = EXCLUDED.collector_id, epoch = router_owner.epoch + 1, since = now()
RETURNING epoch
