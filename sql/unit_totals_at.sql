-- Purpose: each unit's requests up to the cut-off: whole days from unit_days, the cut-off's own day from its rows.
-- Parameters: endpoint, cut_off
-- Grain: one part of a unit's total; add them up
-- Columns: rollout, epoch, unit_id, assigned_variant, requests, failures, errors, fallbacks, statuses, first_at,
--   last_at
SELECT
  d.rollout AS rollout,
  d.epoch AS epoch,
  d.unit_id AS unit_id,
  d.assigned_variant AS assigned_variant,
  d.requests AS requests,
  d.failures AS failures,
  d.errors AS errors,
  d.fallbacks AS fallbacks,
  d.statuses AS statuses,
  d.first_at AS first_at,
  d.last_at AS last_at
FROM unit_days AS d
WHERE d.endpoint = $endpoint
  AND d.event_date < CAST($cut_off AS DATE)
UNION ALL
SELECT
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  1 AS requests,
  CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) THEN 1 ELSE 0 END AS failures,
  CASE WHEN p.status >= 400 OR (p.status IS NOT NULL AND p.prediction IS NULL) OR p.fallback THEN 1 ELSE 0 END AS errors,
  CASE WHEN p.fallback THEN 1 ELSE 0 END AS fallbacks,
  CASE WHEN p.status IS NULL THEN 0 ELSE 1 END AS statuses,
  p."timestamp" AS first_at,
  p."timestamp" AS last_at
FROM predictions AS p
WHERE p.endpoint = $endpoint
  AND p.event_date = CAST($cut_off AS DATE)
  AND p."timestamp" <= $cut_off
