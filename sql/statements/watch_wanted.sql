-- The version of what state writers match, whether anyone who is alive reads the outbox, and an upper bound for the
-- number of its rows: identifiers are used up by rolled back transactions too.
SELECT version, EXISTS (SELECT FROM collectors WHERE watch AND alive_until > now()),
       COALESCE((SELECT max(id) FROM watch.outbox) - (SELECT min(id) FROM watch.outbox) + 1, 0)
FROM watch.trie_version
