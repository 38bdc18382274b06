-- Purpose: what became of each request. A failure is a status of 400 or more, or one that was logged without a
--   prediction: logs that tell no status tell no failures. An error is a failure or a fallback, since the variant under
--   test was not fit to answer.
-- Parameters: none
-- Grain: request
-- Columns: endpoint, rollout, epoch, unit_id, assigned_variant, event_date, timestamp, failure, error, fallback, judged
--   (a status was logged); the last four are 1 or 0
SELECT
  p.endpoint AS endpoint,
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  p.event_date AS event_date,
  p."timestamp" AS "timestamp",
  CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) THEN 1 ELSE 0 END AS failure,
  CASE
    WHEN p.fallback OR p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) THEN 1
    ELSE 0
  END AS error,
  CASE WHEN p.fallback THEN 1 ELSE 0 END AS fallback,
  CASE WHEN p.status IS NULL THEN 0 ELSE 1 END AS judged
FROM predictions AS p
