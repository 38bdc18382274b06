-- Purpose: units of one rollout on one event day. A unit is contradictory when one published epoch assigned it to two
--   variants (between epochs an assignment may move: shadow to canary, promote steps).
-- Parameters: endpoint, rollout, day
-- Grain: one row
-- Columns: units, contradictory_units
WITH by_epoch AS (
  SELECT
    p.unit_id AS unit_id,
    CASE WHEN MIN(p.assigned_variant) <> MAX(p.assigned_variant) THEN 1 ELSE 0 END AS contradictory
  FROM predictions AS p
  WHERE p.endpoint = $endpoint
    AND p.rollout = $rollout
    AND p.event_date = $day
    AND p.unit_id IS NOT NULL
  GROUP BY p.unit_id, p.epoch
)
SELECT
  COUNT(DISTINCT e.unit_id) AS units,
  COUNT(DISTINCT CASE WHEN e.contradictory = 1 THEN e.unit_id END) AS contradictory_units
FROM by_epoch AS e
