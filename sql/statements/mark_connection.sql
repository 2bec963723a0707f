-- Says that this session of the server belongs to the collector $1, by a lock that nobody waits for.
SELECT pg_advisory_lock_shared(hashtextextended(current_schema() || ' collector ' || $1, 0))
