-- Purpose: the rows that the quality suite checks: one rollout's on one event day.
-- Parameters: endpoint, rollout, day
-- Grain: request
-- Columns: request_id, timestamp, unit_id, assigned_variant, variant, fallback, epoch, prediction, latency_ms, status
SELECT
  p.request_id AS request_id,
  p."timestamp" AS "timestamp",
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  p.variant AS variant,
  p.fallback AS fallback,
  p.epoch AS epoch,
  p.prediction AS prediction,
  p.latency_ms AS latency_ms,
  p.status AS status
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.rollout = $rollout
  AND p.event_date = $day
ORDER BY p."timestamp", p.request_id
