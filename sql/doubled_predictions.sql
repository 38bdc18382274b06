-- Purpose: rows of predictions that share a request id with an earlier one of their endpoint and event day: none, if
--   every line was taken once.
-- Parameters: none
-- Grain: one row
-- Columns: rows, doubled
SELECT
  CAST(COALESCE(SUM(same.requests), 0) AS BIGINT) AS "rows",
  CAST(COALESCE(SUM(same.requests - 1), 0) AS BIGINT) AS doubled
FROM (
  SELECT COUNT(*) AS requests
  FROM predictions AS p
  GROUP BY p.endpoint, p.event_date, p.request_id
) AS same
