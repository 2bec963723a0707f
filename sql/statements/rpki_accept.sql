-- Somebody accepts what is held, or what was taken after its time.
UPDATE rpki.vrp_set
SET accept_asked_at = CASE WHEN held_since IS NOT NULL THEN now() END,
    accept_asked_by = CASE WHEN held_since IS NOT NULL THEN $1 END,
    taken_after_hold_at = NULL, taken_after_hold_why = NULL
