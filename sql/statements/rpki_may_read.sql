-- Whether the role may read what rov_reason() reads. Names in a schema that it may not use cannot be resolved.
SELECT CASE WHEN has_schema_privilege(to_regnamespace('rpki'), 'USAGE')
            THEN has_table_privilege('rpki.vrp_set', 'SELECT') AND has_table_privilege('rpki.vrps', 'SELECT')
                 AND has_table_privilege('rpki.filtered_vrps', 'SELECT')
            ELSE false END
