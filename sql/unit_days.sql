-- Purpose: each unit's requests by event day, kept apart so that a look need not read every request again.
-- Parameters: none
-- Grain: endpoint, rollout, epoch, unit, assigned variant, event day; where runs were merged, days long past are one day
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, requests, failures (a status of 400 or more,
--   or one that was logged without a prediction), errors (failures and fallbacks), fallbacks, statuses (requests whose status was logged),
--   first_at, last_at
-- kept: merged by unit_days_merged
-- uses: judged_requests
SELECT
  r.endpoint AS endpoint,
  r.rollout AS rollout,
  r.epoch AS epoch,
  r.unit_id AS unit_id,
  r.assigned_variant AS assigned_variant,
  r.event_date AS event_date,
  COUNT(*) AS requests,
  CAST(SUM(r.failure) AS BIGINT) AS failures,
  CAST(SUM(r.error) AS BIGINT) AS errors,
  CAST(SUM(r.fallback) AS BIGINT) AS fallbacks,
  CAST(SUM(r.judged) AS BIGINT) AS statuses,
  MIN(r."timestamp") AS first_at,
  MAX(r."timestamp") AS last_at
FROM judged_requests AS r
GROUP BY r.endpoint, r.rollout, r.epoch, r.unit_id, r.assigned_variant, r.event_date
