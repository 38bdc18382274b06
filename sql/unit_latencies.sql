-- Purpose: each unit's slow requests by event day and by the highest threshold that they exceed, kept apart so that a
--   look need not read every request again. A failed request (status of 400 or more) exceeds all of them.
-- Parameters: thresholds (milliseconds)
-- Grain: endpoint, rollout, epoch, unit, assigned variant, event day, threshold; where runs were merged, days long past
--   are one day
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, threshold, requests
-- kept: merged by unit_latencies_merged
-- uses: slow_requests
SELECT
  s.endpoint AS endpoint,
  s.rollout AS rollout,
  s.epoch AS epoch,
  s.unit_id AS unit_id,
  s.assigned_variant AS assigned_variant,
  s.event_date AS event_date,
  s.threshold AS threshold,
  COUNT(*) AS requests
FROM slow_requests AS s
GROUP BY s.endpoint, s.rollout, s.epoch, s.unit_id, s.assigned_variant, s.event_date, s.threshold
