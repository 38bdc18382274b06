-- Purpose: rows of captures that share an event id with an earlier one of their endpoint, variant and event day: none,
--   if every line was taken once.
-- Parameters: none
-- Grain: one row
-- Columns: rows, doubled
SELECT
  CAST(COALESCE(SUM(same.events), 0) AS BIGINT) AS "rows",
  CAST(COALESCE(SUM(same.events - 1), 0) AS BIGINT) AS doubled
FROM (
  SELECT COUNT(*) AS events
  FROM captures AS c
  GROUP BY c.endpoint, c.variant, c.event_date, c.event_id
) AS same
