-- Purpose: how many logged requests a rollout has had in all its stages, for reports.
-- Parameters: rollout
-- Grain: one row
-- Columns: requests
SELECT COUNT(*) AS requests
FROM predictions AS p
WHERE p.rollout = $rollout
