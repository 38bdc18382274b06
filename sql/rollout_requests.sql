-- Purpose: how many logged requests a rollout has had in all its stages, for reports.
-- Parameters: rollout
-- Grain: one row
-- Columns: requests
SELECT CAST(COALESCE(SUM(d.requests), 0) AS BIGINT) AS requests
FROM unit_days AS d
WHERE d.rollout = $rollout
