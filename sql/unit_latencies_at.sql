-- Purpose: each unit's slow requests up to the cut-off: whole days from unit_latencies, the cut-off's own day from its
--   rows.
-- Parameters: endpoint, cut_off, thresholds (milliseconds)
-- Grain: one part of a unit's total; add them up
-- Columns: rollout, epoch, unit_id, assigned_variant, threshold, requests
-- uses: slow_requests
SELECT
  d.rollout AS rollout,
  d.epoch AS epoch,
  d.unit_id AS unit_id,
  d.assigned_variant AS assigned_variant,
  d.threshold AS threshold,
  d.requests AS requests
FROM unit_latencies AS d
WHERE d.endpoint = $endpoint
  AND d.event_date < CAST($cut_off AS DATE)
UNION ALL
SELECT
  s.rollout AS rollout,
  s.epoch AS epoch,
  s.unit_id AS unit_id,
  s.assigned_variant AS assigned_variant,
  s.threshold AS threshold,
  1 AS requests
FROM slow_requests AS s
WHERE s.endpoint = $endpoint
  AND s.event_date = CAST($cut_off AS DATE)
  AND s."timestamp" <= $cut_off
