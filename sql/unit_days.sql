-- Purpose: each unit's requests by event day, kept apart so that a look need not read every request again.
-- Parameters: none
-- Grain: endpoint, rollout, epoch, unit, assigned variant, event day; where runs were merged, days long past are one day
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, requests, failures (a status of 400 or more,
--   or one that was logged without a prediction), errors (failures and fallbacks), fallbacks, statuses (requests whose status was logged),
--   first_at, last_at
-- kept: merged by unit_days_merged
SELECT
  p.endpoint AS endpoint,
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  p.event_date AS event_date,
  COUNT(*) AS requests,
  COUNT(CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) THEN 1 END) AS failures,
  COUNT(CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) OR p.fallback THEN 1 END) AS errors,
  COUNT(CASE WHEN p.fallback THEN 1 END) AS fallbacks,
  COUNT(p.status) AS statuses,
  MIN(p."timestamp") AS first_at,
  MAX(p."timestamp") AS last_at
FROM predictions AS p
GROUP BY p.endpoint, p.rollout, p.epoch, p.unit_id, p.assigned_variant, p.event_date
