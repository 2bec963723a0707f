-- The number of routers in each state, by name of the state.
SELECT state, count(*) AS routers FROM router_states GROUP BY state ORDER BY state
