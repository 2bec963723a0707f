-- Records what was done, and forgets what is old; a container's job stays as long as the container.
WITH old AS (
    DELETE FROM inventory.jobs j
    WHERE (j.created_at < now() - interval '30 days' OR j.id < (SELECT max(id) - 10000 FROM inventory.jobs))
      AND NOT EXISTS (SELECT FROM inventory.containers c WHERE c.creation_job_id = j.id)
), job AS (
    INSERT INTO inventory.jobs (name, associated_resource, status) VALUES ($1, $2, $3) RETURNING id
), messages AS (
    INSERT INTO inventory.job_statuses (job_id, message)
    SELECT job.id, m.message FROM job, unnest($4::text[]) WITH ORDINALITY AS m (message, place) ORDER BY m.place
)
SELECT id FROM job
