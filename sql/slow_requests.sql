-- Purpose: each request of a unit that is slower than the lowest threshold, with the highest one that it exceeds. A
--   failed request (status of 400 or more) exceeds all of them.
-- Parameters: thresholds (milliseconds)
-- Grain: request
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, timestamp, threshold
SELECT
  p.endpoint AS endpoint,
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  p.event_date AS event_date,
  p."timestamp" AS "timestamp",
  g.threshold AS threshold
FROM predictions AS p
JOIN (
  SELECT
    t.threshold AS threshold,
    LEAD(t.threshold) OVER (ORDER BY t.threshold) AS next_threshold
  FROM (SELECT DISTINCT u.threshold AS threshold FROM UNNEST($thresholds) AS u(threshold)) AS t
) AS g
  ON CASE WHEN p.status >= 400 THEN 1e308 ELSE p.latency_ms END > g.threshold
  AND CASE WHEN p.status >= 400 THEN 1e308 ELSE p.latency_ms END <= COALESCE(g.next_threshold, 1e308)
WHERE p.rollout IS NOT NULL
  AND p.unit_id IS NOT NULL
