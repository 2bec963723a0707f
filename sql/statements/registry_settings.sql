-- The settings of the round, and whether there is anything to do at all: a schema without rows costs this statement.
SELECT EXISTS (SELECT FROM registry.bgp_sessions),
       EXISTS (SELECT FROM watch.watches WHERE source = 'registry' AND team IS NULL),
       EXISTS (SELECT FROM watch.callbacks WHERE team = '@registry'),
       (SELECT jsonb_object_agg(key, value)::TEXT FROM registry.settings
        WHERE key IN ('write_status', 'status_codes', 'callback', 'watches', 'down_after_secs', 'settle_secs', 'overdue_after_secs')),
       (extract(epoch FROM now()) * 1000000)::BIGINT
