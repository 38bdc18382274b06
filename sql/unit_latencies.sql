-- Purpose: each unit's slow requests by event day and by the highest threshold that they exceed, kept apart so that a
--   look need not read every request again. A failed request (status of 400 or more) exceeds all of them.
-- Parameters: thresholds (milliseconds)
-- Grain: endpoint, rollout, epoch, unit, assigned variant, event day, threshold; where runs were merged, days long past
--   are one day
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, threshold, requests
-- kept: merged by unit_latencies_merged
SELECT
  p.endpoint AS endpoint,
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  p.event_date AS event_date,
  g.threshold AS threshold,
  COUNT(*) AS requests
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
GROUP BY p.endpoint, p.rollout, p.epoch, p.unit_id, p.assigned_variant, p.event_date, g.threshold
