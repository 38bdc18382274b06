-- Purpose: each unit's requests up to the cut-off: whole days from unit_days, the cut-off's own day from its rows.
-- Parameters: endpoint, cut_off
-- Grain: one part of a unit's total; add them up
-- Columns: rollout, epoch, unit_id, assigned_variant, requests, failures, errors, fallbacks, statuses, first_at,
--   last_at
-- uses: judged_requests
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
  r.rollout AS rollout,
  r.epoch AS epoch,
  r.unit_id AS unit_id,
  r.assigned_variant AS assigned_variant,
  1 AS requests,
  r.failure AS failures,
  r.error AS errors,
  r.fallback AS fallbacks,
  r.judged AS statuses,
  r."timestamp" AS first_at,
  r."timestamp" AS last_at
FROM judged_requests AS r
WHERE r.endpoint = $endpoint
  AND r.event_date = CAST($cut_off AS DATE)
  AND r."timestamp" <= $cut_off
