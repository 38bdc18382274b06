-- Purpose: how new the prediction log is, for an endpoint and for one rollout on it.
-- Parameters: endpoint, rollout, cut_off
-- Grain: one row
-- Columns: rows, newest, rollout_rows, rollout_newest (null without rows)
SELECT
  COUNT(*) AS "rows",
  MAX(p."timestamp") AS newest,
  COUNT(CASE WHEN p.rollout = $rollout THEN 1 END) AS rollout_rows,
  MAX(CASE WHEN p.rollout = $rollout THEN p."timestamp" END) AS rollout_newest
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p."timestamp" <= $cut_off
