-- For the statement that compares both views of all peers: the planner takes what it joins for a few rows, and looks up each
-- of a million networks by prefix. Hashed, 1.1 million routes take 2 s instead of 13 s.
SET LOCAL enable_nestloop = off;
SET LOCAL jit = off
