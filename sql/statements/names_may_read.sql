-- Whether the role may read names. Names in a schema that it may not use cannot be resolved.
SELECT CASE WHEN has_schema_privilege(to_regnamespace('names'), 'USAGE')
            THEN has_table_privilege('names.as_names', 'SELECT') AND has_table_privilege('names.communities', 'SELECT')
                 AND has_table_privilege('names.well_known', 'SELECT')
            ELSE false END
