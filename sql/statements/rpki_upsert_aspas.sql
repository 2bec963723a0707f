-- ASPAs of a new set; those that are as they were are not written.
INSERT INTO rpki.aspas AS a (customer, providers, expires)
SELECT new.customer, new.providers::bigint[], 'epoch'::timestamptz + new.expires * INTERVAL '1 microsecond'
FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS new (customer, providers, expires)
ON CONFLICT (customer) DO UPDATE SET providers = EXCLUDED.providers, expires = EXCLUDED.expires
WHERE a.providers <> EXCLUDED.providers OR a.expires IS DISTINCT FROM EXCLUDED.expires
