-- Purpose: the rows of predictions that can be a unit's first. A statement that asks for the first row of a unit, or
--   for the set of variants that it was assigned, answers the same from these as from all rows; so they are kept apart,
--   and grow with units instead of requests. Rows at the same earliest moment are all kept.
-- Parameters: none
-- Grain: earliest row of an endpoint, rollout, epoch, unit, assigned variant, answering variant and fallback
-- Columns: request_id, timestamp, event_date, endpoint, rollout, unit_id, assigned_variant, variant, fallback, epoch,
--   model_version, prediction, latency_ms, status, features, source, line, measures, shadow_variant, shadow_prediction,
--   shadow_latency_ms (those of predictions)
-- kept: merged by first_rows
SELECT p.*
FROM predictions AS p
JOIN (
  SELECT
    q.endpoint AS endpoint,
    q.rollout AS rollout,
    q.epoch AS epoch,
    q.unit_id AS unit_id,
    q.assigned_variant AS assigned_variant,
    q.variant AS variant,
    q.fallback AS fallback,
    MIN(q."timestamp") AS earliest
  FROM predictions AS q
  WHERE q.rollout IS NOT NULL
    AND q.unit_id IS NOT NULL
  GROUP BY q.endpoint, q.rollout, q.epoch, q.unit_id, q.assigned_variant, q.variant, q.fallback
) AS first
  ON p.unit_id = first.unit_id
  AND p."timestamp" = first.earliest
  AND p.endpoint = first.endpoint
  AND p.rollout = first.rollout
  AND p.epoch = first.epoch
  AND p.assigned_variant IS NOT DISTINCT FROM first.assigned_variant
  AND p.variant IS NOT DISTINCT FROM first.variant
  AND p.fallback = first.fallback
