-- Stores a window ($1) with its routers ($2) and their state ($3), unless one of this name has not ended. Those that ended
-- long ago go.
WITH old AS (
    DELETE FROM watch.change_windows WHERE ended_at < now() - interval '400 days' AND name <> $1
)
INSERT INTO watch.change_windows AS w (name, scope, state)
VALUES ($1, $2::text[], $3::text::jsonb)
ON CONFLICT (name) DO UPDATE
SET begun_at = now(), ended_at = NULL, scope = EXCLUDED.scope, state = EXCLUDED.state
WHERE w.ended_at IS NOT NULL
