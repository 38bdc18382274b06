-- Purpose: how new the prediction log is, for an endpoint and for one rollout on it.
-- Parameters: endpoint, rollout, cut_off
-- Grain: one row
-- Columns: rows, newest, rollout_rows, rollout_newest (null without rows)
-- uses: unit_totals_at
SELECT
  CAST(COALESCE(SUM(t.requests), 0) AS BIGINT) AS "rows",
  MAX(t.last_at) AS newest,
  CAST(COALESCE(SUM(CASE WHEN t.rollout = $rollout THEN t.requests END), 0) AS BIGINT) AS rollout_rows,
  MAX(CASE WHEN t.rollout = $rollout THEN t.last_at END) AS rollout_newest
FROM unit_totals_at AS t
