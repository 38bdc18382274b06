-- Purpose: each unit's slow requests up to the cut-off: whole days from unit_latencies, the cut-off's own day from its
--   rows.
-- Parameters: endpoint, cut_off, thresholds (milliseconds)
-- Grain: one part of a unit's total; add them up
-- Columns: rollout, epoch, unit_id, assigned_variant, threshold, requests
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
  p.rollout AS rollout,
  p.epoch AS epoch,
  p.unit_id AS unit_id,
  p.assigned_variant AS assigned_variant,
  g.threshold AS threshold,
  1 AS requests
FROM predictions AS p
JOIN (
  SELECT
    t.threshold AS threshold,
    LEAD(t.threshold) OVER (ORDER BY t.threshold) AS next_threshold
  FROM (SELECT DISTINCT u.threshold AS threshold FROM UNNEST($thresholds) AS u(threshold)) AS t
) AS g
  ON CASE WHEN p.status >= 400 THEN 1e308 ELSE p.latency_ms END > g.threshold
  AND CASE WHEN p.status >= 400 THEN 1e308 ELSE p.latency_ms END <= COALESCE(g.next_threshold, 1e308)
WHERE p.endpoint = $endpoint
  AND p.event_date = CAST($cut_off AS DATE)
  AND p."timestamp" <= $cut_off
  AND p.unit_id IS NOT NULL
